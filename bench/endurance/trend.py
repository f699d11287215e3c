"""What a series of samples says: whether it rises, and by how much. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import theilslopes

WARM_UP = 300.0
"""Seconds of a soak that are not counted at most; of a short one a fifth."""


@dataclass(frozen=True, slots=True)
class Course:
    """A count over time: `growth` is how much its highest value in the last third is above that in the first."""

    first: int
    last: int
    max: int
    growth: int


def warm_up(seconds: float) -> float:
    """Seconds at the beginning of a soak in which caches fill and pools open."""
    return min(WARM_UP, seconds / 5)


def slope_per_min(seconds: Sequence[float], values: Sequence[float]) -> float:
    """How fast values rise, a minute: the median of the slopes between all pairs of samples (Theil 1950, Sen 1968).

    Up to 29 % of the samples may lie anywhere without moving it far, so that a garbage collection or one large batch
    does not count as a trend. Needs two samples at least.
    """
    return float(theilslopes(values, seconds).slope) * 60


def course(values: Sequence[int]) -> Course:
    """The course of a count; of a value that swings, the highest of a third stands for it."""
    third = max(1, len(values) // 3)
    return Course(values[0], values[-1], max(values), max(values[-third:]) - max(values[:third]))
