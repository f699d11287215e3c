"""The Numenta Anomaly Benchmark's score of labelled series, standard profile.

Written from the published rules: Lavin and Ahmad 2015 (arXiv:1510.03336) and the documentation of
https://github.com/numenta/NAB. Within a labelled window only the best-placed detection counts, early ones more; every
detection outside costs, less so just behind a window; a window without one costs its weight. The sum is put on a scale
on which a detector that says nothing has 0, and one that reports the first row of every window and no other has 100.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerts.spikes import Floats

Numbers = npt.NDArray[np.int64]

_TRUE_POSITIVE, _FALSE_NEGATIVE, _FALSE_POSITIVE = 1.0, 1.0, 0.11  # the standard profile
_PROBATION, _PROBATION_ROWS = 0.15, 5_000  # 15 % of a series are not scored, 750 rows at most
_FAR = 3.0  # window widths behind a window from which on a detection costs everything


@dataclass(frozen=True, slots=True)
class Labelled:
    """A series and its windows: first and last row of each, both inclusive, in order."""

    name: str
    seconds: Floats
    """[rows], since the epoch, rising."""
    values: Floats
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """Score 0..100 (below 0: worse than silence) at a threshold, windows found of all, rows reported outside them."""

    score: float
    threshold: float
    found: int
    windows: int
    false_rows: int


@dataclass(frozen=True, slots=True)
class _Rows:
    """Scored rows of all series in one: anomaly score, worth of a report, and window (-1: outside)."""

    scores: Floats
    worth: Floats
    window: Numbers
    windows: int


def probation(rows: int) -> int:
    """Rows at the start that are not scored."""
    return int(_PROBATION * min(rows, _PROBATION_ROWS))


def worth(rows: int, windows: Sequence[tuple[int, int]]) -> tuple[Floats, Numbers]:
    """What a report at each row is worth, [rows], and the number of its window, [rows] (-1: outside)."""
    position, member = np.full(rows, np.inf), np.full(rows, -1, dtype=np.int64)
    for number, (first, last) in enumerate(windows):
        width = last - first + 1
        position[first : last + 1] = np.arange(-width, 0) / width
        member[first : last + 1] = number
        until = windows[number + 1][0] if number + 1 < len(windows) else rows
        position[last + 1 : until] = np.arange(1, until - last) / max(width - 1, 1)
    inside = member >= 0
    value = np.where(position > _FAR, -1.0, 2 / (1 + np.exp(5 * np.minimum(position, _FAR))) - 1)
    best = 2 / (1 + np.exp(-5.0)) - 1
    return np.where(inside, value * _TRUE_POSITIVE / best, value * _FALSE_POSITIVE), member


def optimise(series: Sequence[Labelled], scores: Sequence[Floats]) -> Result:
    """The best score over all thresholds, one for all series; `scores` are [rows] each, 0..1."""
    rows = _together(series, scores)
    order = np.argsort(-rows.scores, kind="stable")
    total, best, found, false_rows = -_FALSE_NEGATIVE * rows.windows, Result(0.0, 1.01, 0, rows.windows, 0), 0, 0
    held: dict[int, float] = {}
    for place, row in enumerate(order):
        value, window = float(rows.worth[row]), int(rows.window[row])
        if window < 0:
            total, false_rows = total + value, false_rows + 1
        elif window not in held:
            total, found, held[window] = total + _FALSE_NEGATIVE + value, found + 1, value
        elif value > held[window]:
            total, held[window] = total + value - held[window], value
        last_of_its_score = place + 1 == order.size or rows.scores[order[place + 1]] < rows.scores[row]
        score = _normalised(total, rows.windows)
        if last_of_its_score and score > best.score:
            best = Result(score, float(rows.scores[row]), found, rows.windows, false_rows)
    return best


def at_threshold(series: Sequence[Labelled], scores: Sequence[Floats], threshold: float) -> Result:
    """The score where rows at or above a given threshold are reported."""
    rows = _together(series, scores)
    reported = rows.scores >= threshold
    outside = reported & (rows.window < 0)
    held = np.full(rows.windows, -_FALSE_NEGATIVE)
    np.maximum.at(held, rows.window[reported & ~outside], rows.worth[reported & ~outside])
    found = np.unique(rows.window[reported & ~outside]).size
    total = float(held.sum() + rows.worth[outside].sum())
    return Result(_normalised(total, rows.windows), threshold, found, rows.windows, int(outside.sum()))


def _normalised(total: float, windows: int) -> float:
    null, perfect = -_FALSE_NEGATIVE * windows, _TRUE_POSITIVE * windows
    return 100 * (total - null) / (perfect - null)


def _together(series: Sequence[Labelled], scores: Sequence[Floats]) -> _Rows:
    parts, windows = [], 0
    for one, own in zip(series, scores, strict=True):
        value, member = worth(own.size, one.windows)
        start = probation(own.size)
        parts.append((own[start:], value[start:], np.where(member < 0, -1, member + windows)[start:]))
        windows += len(one.windows)
    flat = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return _Rows(flat[0], flat[1], flat[2], windows)
