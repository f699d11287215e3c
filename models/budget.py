"""Find the token budget of a forward pass by measuring: large enough to fill the device, no larger than pays."""

import time

import numpy as np

from models.backends import Backend, Batch

_LENGTH = 32
_WORTH = 1.03
"""A budget twice as large must bring this much more speed, since it holds results back for longer and takes memory."""
_SMALLEST, _LARGEST = 512, 32_768
_PATIENCE = 0.4
"""Seconds after which no larger budget is tried."""


def measured_budget(backend: Backend, max_tokens: int) -> int:
    """Time forward passes of doubling budgets, and return the last that paid."""
    began = time.perf_counter()
    budget, rate = _SMALLEST, _rate(backend, _SMALLEST, min(_LENGTH, max_tokens))
    while 2 * budget <= _LARGEST and time.perf_counter() - began < _PATIENCE:
        doubled = _rate(backend, 2 * budget, min(_LENGTH, max_tokens))
        if doubled < rate * _WORTH:
            break
        budget, rate = 2 * budget, doubled
    return budget


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
