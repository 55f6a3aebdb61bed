"""The version, read by the build and by `titans_seq.__version__`."""

__version__ = "0.1.0"
