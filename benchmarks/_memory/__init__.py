"""What `benchmarks/memory.py` runs: cells, contenders, and how they are measured."""
