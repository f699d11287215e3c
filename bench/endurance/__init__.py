"""Benchmarks of what a worker holds: over half an hour at full load, and before a million waiting messages."""
