"""Cells of `genomics.py`."""
