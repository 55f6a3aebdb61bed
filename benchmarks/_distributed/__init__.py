"""Cells of `distributed.py`."""
