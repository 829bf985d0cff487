"""Measurements: `python -m bench.NAME` prints what docs/measurements.md reports."""
