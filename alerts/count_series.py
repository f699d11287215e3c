"""The volume test over any count series, row by row: a score 0..1 that uses nothing but the rows up to each one.

Four steps, all of them in decades (-log10 of a probability):

1. *Tail*: the counts of the last 5, 15 and 60 minutes against a negative binomial around the baseline of the hour
   (`alerts.count_baseline`, `alerts.spikes`): the tail that the volume test of alerts takes.
2. *Calibration*: real series have heavier tails than the model. What exceeds the 98 % point of the last 28 days'
   surprises is taken as exponential with the mean excess that was seen (peaks over threshold; Siffer et al. 2017,
   doi:10.1145/3097983.3098144); a prior worth five excesses of a right model stands in for a history that is short.
3. *Windows*: the most surprising of the three lengths counts.
4. *Novelty*: a spike is told at its onset. The strongest surprise of late, halved every 4 hours, is subtracted, so that
   the score falls while a spike lasts, and rises again when it gets worse.

Each constant has a meaning of its own. Excesses beyond 7.6 medians are cut there, as outbreaks are in the baseline: an
exponential exceeds that as often as a normal residual exceeds 2.58. A score of 0.5 is a probability of 0.001 a row. The
steps were settled with labelled series at hand; docs/benchmarks.md tells what each constant is worth on those.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from alerts.count_baseline import HISTORY_DAYS, Expected, Hours, by_hour, expectations
from alerts.spikes import Floats, negative_binomial_tail

_SMALLEST = 1e-300  # a tail below is as good as this
_FIRST_DOUBT = 1.5  # squared coefficient of variation of a mean from less than two hours
_LEAST_MEAN = 0.02


@dataclass(frozen=True, slots=True)
class VolumeTest:
    """Constants of the score, see the module."""

    windows: tuple[int, ...] = (5, 15, 60)
    """Minutes."""
    quantile: float = 0.98
    prior_excesses: float = 5.0
    outbreak: float = float(np.log2(200))
    """Medians of the excesses."""
    half_life_h: float = 4.0
    half_score: float = 3.0
    """Decades at which the score is 0.5."""


def score(
    seconds: Floats,
    values: Floats,
    test: VolumeTest | None = None,
    progress: Callable[[int, int], None] = lambda done, rows: None,
) -> Floats:
    """Scores 0..1, [rows]; the first row has nothing to be compared with and scores 0.

    Args:
        seconds: since the epoch, [rows], not falling; steps may differ, and a gap is neither calm nor a spike.
        values: counts of the rows, [rows], >= 0.
        test: other constants than the usual ones.
        progress: called with rows done, and all rows.
    """
    test = test or VolumeTest()
    novel = novelty(seconds, calibrated(seconds, values, test, progress), test.half_life_h)
    return np.asarray(novel / (novel + test.half_score), dtype=np.float64)


def calibrated(
    seconds: Floats, values: Floats, test: VolumeTest, progress: Callable[[int, int], None] = lambda done, rows: None
) -> Floats:
    """Decades of the most surprising window of each row, [rows]: the first three steps. Arguments as for `score`."""
    decades = np.zeros(values.size)
    if not values.size:
        return decades
    windows = [_sums(seconds, values, minutes) for minutes in test.windows]
    found = np.zeros((len(windows), values.size))
    for expected in _all_expected(values, by_hour(seconds, values)):
        rows = expected.rows
        for row, (sums, counts) in enumerate(windows):
            found[row, rows] = surprise(sums[rows], counts[rows], expected)
        before = int(np.searchsorted(seconds, seconds[rows.start] - HISTORY_DAYS * 86_400))
        for own in found:
            decades[rows] = np.maximum(decades[rows], calibrate(own[rows], own[before : rows.start], test))
        progress(rows.stop, values.size)
    return decades


def surprise(sums: Floats, rows: Floats, expected: Expected) -> Floats:
    """Decades of the negative binomial tail of windows with these sums over so many rows; shapes alike."""
    mean = np.maximum(expected.mean * rows, _LEAST_MEAN)
    variance = mean * expected.dispersion + mean * mean * expected.doubt
    return -np.log10(np.maximum(negative_binomial_tail(sums, mean, variance), _SMALLEST))


def calibrate(decades: Floats, history: Floats, test: VolumeTest) -> Floats:
    """Decades as they are worth in a series that had this `history` of them, [rows before]."""
    if history.size < 1 / (1 - test.quantile):
        return decades
    limit = float(np.quantile(history, test.quantile))
    excess = history[history > limit] - limit
    if excess.size:
        excess = np.minimum(excess, test.outbreak * float(np.median(excess)))
    prior = 1 / np.log(10)  # mean excess in decades where p-values are uniform
    mean = (float(excess.sum()) + prior * test.prior_excesses) / (excess.size + test.prior_excesses)
    tail = (decades - limit) / mean / np.log(10) - np.log10(1 - test.quantile)
    return np.asarray(np.maximum(tail, 0.0), dtype=np.float64)


def novelty(seconds: Floats, decades: Floats, half_life_h: float) -> Floats:
    """How far each row exceeds the strongest before it, which is halved every `half_life_h`; [rows], >= 0."""
    novel, record = np.zeros(decades.size), 0.0
    kept = 0.5 ** (np.diff(seconds, prepend=seconds[:1]) / 3_600 / half_life_h)
    for row, own in enumerate(decades):
        record *= kept[row]
        novel[row] = max(own - record, 0.0)
        record = max(record, own)
    return novel


def _sums(seconds: Floats, values: Floats, minutes: int) -> tuple[Floats, Floats]:
    """Sums of the rows of the last `minutes`, each row included, and how many rows those are; [rows] both."""
    # A row at the window's very edge is outside, whatever the rounding of its time stamp.
    start = np.searchsorted(seconds, seconds - minutes * 60 + 1e-3)
    end = np.arange(1, values.size + 1)
    start = np.minimum(start, end - 1)
    total = np.concatenate(([0.0], np.cumsum(values)))
    return total[end] - total[start], (end - start).astype(np.float64)


def _all_expected(values: Floats, hours: Hours) -> Iterator[Expected]:
    """`expectations`, and before them those of the first rows, one by one, from the rows before each."""
    known = expectations(hours)
    first = next(known, None)
    for row in range(1, first.rows.start if first else values.size):
        yield Expected(slice(row, row + 1), float(values[:row].mean()), 2.0, _FIRST_DOUBT)
    if first:
        yield first
        yield from known
