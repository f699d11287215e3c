"""Find the token budget of a forward pass by measuring: large enough to fill the device, no larger than pays."""

import time
from collections.abc import Sequence

import numpy as np

from models.backends import Backend, Batch

_LENGTH = 32
_WORTH = 1.03
"""A budget twice as large must bring this much more speed, since it also holds a result back for longer."""
_SMALLEST, _LARGEST = 512, 32_768
_PATIENCE = 0.4
"""Seconds after which no larger budget is tried."""


def measured_budget(backend: Backend, max_tokens: int) -> int:
    """Time forward passes of doubling budgets, and return the smallest after which doubling no longer pays."""
    began = time.perf_counter()
    rates: list[tuple[int, float]] = []
    budget = _SMALLEST
    while budget <= _LARGEST and time.perf_counter() - began < _PATIENCE:
        rates.append((budget, _rate(backend, budget, min(_LENGTH, max_tokens))))
        budget *= 2
    return best_budget(rates)


def best_budget(rates: Sequence[tuple[int, float]]) -> int:
    """Return the first budget that no larger one outdoes by enough; `rates` are (budget, tokens a second), rising.

    Larger budgets are compared with the best so far, not with their neighbour: a slow creep adds up.
    """
    chosen, speed = rates[0]
    for budget, rate in rates[1:]:
        if rate > speed * _WORTH:
            chosen, speed = budget, rate
    return chosen


def _rate(backend: Backend, budget: int, length: int) -> float:
    rows = max(1, budget // length)
    # All lanes are filled; the first round builds the kernels of this shape.
    batches = [Batch(np.ones((rows, length), np.int64), np.full(rows, length))] * max(2, backend.lanes)
    for _ in backend.run(batches):
        pass
    began = time.perf_counter()
    for _ in backend.run(batches):
        pass
    return len(batches) * rows * length / (time.perf_counter() - began)
