"""How far a confidence can be believed, and from which confidence on an answer should be kept.

The reliability table sets stated confidence beside the accuracy found (Guo et al. 2017); the risk-coverage table says
what is left, and how right it is, when answers below a threshold are withheld (El-Yaniv & Wiener 2010).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.rows import MISSING

TARGET_ACCURACY = 0.90
"""What the answers at or above `abstain_below` reached on the rows that chose it."""

THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_GRID = tuple(round(0.34 + step / 100, 2) for step in range(66))
_BINS = 10
_ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose confidence lies in [low, high): how sure the classifier was of them and how often it was right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float

    def as_dict(self) -> dict[str, Any]:
        """Return the bin for JSON, rounded to four places."""
        return _rounded(self)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left at a threshold: `n` answers, their share of all, and their accuracy (0 when none is left)."""

    threshold: float
    n: int
    coverage: float
    accuracy: float

    def as_dict(self) -> dict[str, Any]:
        """Return the line for JSON, rounded to four places."""
        return _rounded(self)


def reliability(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> tuple[Bin, ...]:
    """Return the ten equal bins that hold labelled rows; labels (n,), `MISSING` ones skipped, probabilities (n, k)."""
    confidence, right = _judged(labels, probabilities)
    number = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return tuple(
        Bin(at / _BINS, (at + 1) / _BINS, int(held.sum()), float(confidence[held].mean()), float(right[held].mean()))
        for at in range(_BINS)
        if (held := number == at).any()
    )


def risk_coverage(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], thresholds: tuple[float, ...] = THRESHOLDS
) -> tuple[Kept, ...]:
    """Return what is left of the labelled rows at each threshold; nothing when no row is labelled."""
    confidence, right = _judged(labels, probabilities)
    return tuple(_kept(threshold, confidence, right) for threshold in thresholds) if len(right) else ()


def threshold_for(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], target: float = TARGET_ACCURACY
) -> float:
    """Return the lowest confidence, in hundredths, from which on answers are right in `target` of the labelled rows.

    0.0 (never abstain) when all answers together reach it, or when there are fewer than 20 labelled rows to judge by;
    1.0 when no threshold reaches it with 20 rows left: then nothing is to be called certain.
    """
    confidence, right = _judged(labels, probabilities)
    if len(right) < _ENOUGH:
        return 0.0
    for threshold in (0.0, *_GRID):
        kept = _kept(threshold, confidence, right)
        if kept.n >= _ENOUGH and kept.accuracy >= target:
            return threshold
    return 1.0


def _judged(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    known = labels != MISSING
    return probabilities[known].max(axis=1), probabilities[known].argmax(axis=1) == labels[known]


def _kept(threshold: float, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Kept:
    held = confidence >= threshold
    n = int(held.sum())
    return Kept(threshold, n, n / len(right), float(right[held].mean()) if n else 0.0)


def _rounded(line: Bin | Kept) -> dict[str, Any]:
    return {name: round(value, 4) for name, value in asdict(line).items()}
