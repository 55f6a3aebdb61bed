"""Cells, measurement and tables of studies.py."""
