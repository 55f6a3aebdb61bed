"""The report of a run as one HTML page that needs nothing else."""

REPORT = "report.html"
"""Name of the file in the run's folder."""
