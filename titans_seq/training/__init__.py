"""Fitting of networks: batches, losses, the Lightning trainer."""
