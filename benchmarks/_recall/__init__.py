"""Cells of `benchmarks/recall.py`."""
