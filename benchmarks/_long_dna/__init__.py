"""Cells of `long_dna.py`."""
