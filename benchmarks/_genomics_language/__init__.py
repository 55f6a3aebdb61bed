"""Cells of `genomics_language.py`."""
