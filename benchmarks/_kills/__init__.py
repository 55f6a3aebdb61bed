"""Cells of `kills.py`."""
