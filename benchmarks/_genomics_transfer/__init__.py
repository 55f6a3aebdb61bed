"""Cells of `genomics_transfer.py`."""
