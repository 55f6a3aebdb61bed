"""Cells of `forecasting.py`."""
