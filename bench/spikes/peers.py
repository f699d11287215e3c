"""Named peers for count series, each a function of the values alone, with scores 0..1 and no look ahead."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from alerts.spikes import Floats

_WINDOW, _STEP = 6_400, 100  # rows of the benchmark's windowed Gaussian, and rows between its updates


def windowed_gaussian(values: Floats) -> Floats:
    """The Numenta Anomaly Benchmark's baseline: how far in a normal distribution of the last 6,400 rows a value lies.

    The window grows row by row until it is full and then moves 100 rows at once; both sides count alike.
    """
    scores = np.zeros(values.size)
    total = squares = 0.0
    mean = spread = 0.0
    for row, value in enumerate(values):
        if row:
            scores[row] = 1 - 0.5 * math.erfc(abs(value - mean) / spread / math.sqrt(2))
        if row < _WINDOW:
            total, squares = total + value, squares + value * value
            mean = total / (row + 1)
            spread = math.sqrt(max(squares / (row + 1) - mean * mean, 0.0)) or 1e-6
        elif (row - _WINDOW) % _STEP == _STEP - 1:
            held = values[row + 1 - _WINDOW : row + 1]
            mean, spread = float(held.mean()), float(held.std()) or 1e-6
    return scores


def z_scores(values: Floats, window: int) -> Floats:
    """(value - mean) / deviation of the `window` rows before each row; 0 for the first two rows."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    squares = np.concatenate(([0.0], np.cumsum(values * values)))
    end = np.arange(values.size)
    start = np.maximum(end - window, 0)
    count = np.maximum(end - start, 1)
    mean = (sums[end] - sums[start]) / count
    spread = np.sqrt(np.maximum((squares[end] - squares[start]) / count - mean * mean, 1e-12))
    return np.asarray(np.where(end < 2, 0.0, (values - mean) / np.maximum(spread, 1e-6)), dtype=np.float64)


def three_sigma(values: Floats, window: int) -> Floats:
    """`z_scores` mapped to 0..1; 3 deviations are 0.5. One-sided."""
    z = np.maximum(z_scores(values, window), 0.0)
    return np.asarray(z / (z + 3.0), dtype=np.float64)


def river_detectors() -> dict[str, Callable[[Floats], Floats]]:
    """Detectors of `river`, where that is installed; else none. Scores of each row before it is learnt."""
    try:
        from river import anomaly
    except ImportError:
        return {}
    return {
        "river_gaussian": lambda values: _learnt(anomaly.GaussianScorer(window_size=10_080), values),
        "river_absolute_deviation": lambda values: _learnt(anomaly.StandardAbsoluteDeviation(), values),
    }


def _learnt(detector: Any, values: Floats) -> Floats:
    scores = np.zeros(values.size)
    for row, value in enumerate(values.tolist()):
        scores[row] = detector.score_one(None, value)
        detector.learn_one(None, value)
    return scores
