"""Triton kernels of the memory op for NVIDIA GPUs; importing this package imports no triton, its modules do."""
