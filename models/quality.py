"""Quality figures of a classifier on labelled rows, in numpy.

Macro F1 averages over the classes that occur in the labels or the predictions; calibration error is the expected
calibration error of the predicted class over 15 equal bins (Guo et al. 2017).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from models.rows import MISSING

_BINS = 15


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of one head over `n` labelled rows; with no rows every figure is 0.

    `ece` is nothing for a classifier that answers without probabilities.
    """

    n: int
    accuracy: float
    macro_f1: float
    weighted_f1: float
    ece: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return the figures for JSON, rounded to four places."""
        return {name: None if value is None else round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class HeadQuality:
    """Figures of both heads on one set of rows."""

    sentiment: Quality
    topic: Quality

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {"sentiment": self.sentiment.as_dict(), "topic": self.topic.as_dict()}


def measure(labels: NDArray[np.int64], probabilities: NDArray[np.float64], *, probable: bool = True) -> Quality:
    """Compare labels (n,), `MISSING` ones skipped, with probabilities (n, classes).

    With `probable` false they are scores in any unit, of which the largest is the answer.
    """
    known = labels != MISSING
    labels, probabilities = labels[known], probabilities[known]
    if not len(labels):
        return Quality(0, 0.0, 0.0, 0.0, 0.0 if probable else None)
    predicted = probabilities.argmax(axis=1)
    scores, support = f1_by_class(labels, predicted, probabilities.shape[1])
    present = (support > 0) | (np.bincount(predicted, minlength=len(support)) > 0)
    return Quality(
        n=len(labels),
        accuracy=float((predicted == labels).mean()),
        macro_f1=float(scores[present].mean()),
        weighted_f1=float((scores * support).sum() / support.sum()),
        ece=calibration_error(probabilities.max(axis=1), predicted == labels) if probable else None,
    )


def f1_by_class(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return F1 and support of every class, both (classes,); F1 is 0 where a class neither occurs nor is predicted."""
    support = np.bincount(labels, minlength=classes)
    guessed = np.bincount(predicted, minlength=classes)
    hits = np.bincount(labels[labels == predicted], minlength=classes)
    return 2 * hits / np.maximum(support + guessed, 1), support


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: mean |accuracy - confidence| over bins, weighted by their rows."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def area_under_roc(good: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Return how often a good row outscores a bad one, ties counting half; both kinds must occur (Hanley 1982)."""
    wins = rankdata(score)[good].sum() - good.sum() * (good.sum() + 1) / 2
    return float(wins / (good.sum() * (~good).sum()))


def fit_temperature(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> float:
    """Return the temperature in 0.25..4 with the least negative log-likelihood on held-back rows; 1 without rows."""
    known = labels != MISSING
    labels, logits = labels[known], logits[known]
    if not len(labels):
        return 1.0
    grid = np.geomspace(0.25, 4.0, 161)
    losses = [_negative_log_likelihood(labels, logits / temperature) for temperature in grid]
    return float(round(grid[int(np.argmin(losses))], 4))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def _negative_log_likelihood(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> float:
    peak = logits.max(axis=1)
    total = np.log(np.exp(logits - peak[:, None]).sum(axis=1)) + peak
    return float((total - logits[np.arange(len(labels)), labels]).mean())
