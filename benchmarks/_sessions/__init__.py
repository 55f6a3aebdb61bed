"""What `benchmarks/sessions.py` runs."""
