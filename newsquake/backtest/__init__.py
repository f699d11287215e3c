"""Backtests: stored streams scored once, put into a private database, and judged as production would have judged."""
