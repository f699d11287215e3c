"""Benchmarks: each measures one claim against named peers in one run, and prints the machine beside the figures."""
