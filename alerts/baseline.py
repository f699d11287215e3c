"""What is normal for each series at one hour: learnt from the hours before it, pure and vectorised.

Counts: the same hour of the day (one hour to either side) over the past weeks, hours of the other kind of day
(working day, weekend) counting a quarter, shrunk towards the recent level with the day's traffic profile. Hours that
stand out are weighted down by their Anscombe residual and hours inside known episodes are left out, so that an outbreak
neither hides the next one nor itself. After Farrington flexible (Noufaily et al. 2013, doi:10.1002/sim.5595).
Shares: a beta distribution around the pooled share, its spread estimated by moments and shrunk to a prior.

Arrays of [series, hours] are of single precision, whose seven digits are four more than counts are worth: twice as
many fit into the processor's cache, which is what sets the pace.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from alerts.series import ALL, Rollups, Series
from alerts.spikes import Floats

Flags = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.floating[Any]]
T = TypeVar("T")
R = TypeVar("R")

_RECENCY_DAYS = 14.0  # an hour two weeks old counts half towards the recent level
_OTHER_DAYS = 0.25  # weight of weekend hours for a working day and the reverse
_OUTBREAK = 2.58  # residuals above are weighted down (Noufaily et al.)
_SHRINK_HOURS = 6.0  # weight of the recent level against the same hour of other days
_PROFILE_HOURS = 3.0
_PRIOR_LEVEL, _PRIOR_HOURS = 0.5, 1.0  # negatives an hour of a series never seen, and their weight
_PRIOR_DISPERSION, _DISPERSION_HOURS = 2.0, 12.0
_NEW_HOUR = 0.5  # squared coefficient of variation of an hour of the day that was never seen
_PRIOR_SHARE, _SHARE_MESSAGES, _SERIES_MESSAGES = 0.25, 100.0, 20.0
_PRIOR_CORRELATION, _CORRELATION_PAIRS, _LEAST_CORRELATION, _MOST_CORRELATION = 0.03, 200.0, 0.015, 0.3
_GAP_HOURS, _GAP, _LEAST_EXPOSURE = 23, 0.6, 0.1
_MEDIAN_CHI2 = 0.4549
_ANSCOMBE = 1.5  # factor of the residuals, which is left to their limit
_LEAST_EXPECTED = 0.02  # negatives an hour
_FITTED = ("mean", "messages", "dispersion", "doubt", "share", "concentration")
_MOST_THREADS = 4
_CELLS = 48  # hours of the day, of working days and of weekends
_BLOCK = 900  # series at most: few enough for the cache, many enough that threads need not wait for each other


@dataclass(frozen=True, slots=True)
class Baseline:
    """Each array is [series]; what was not `fitted` is zero, but for `seen`.

    `mean` and `messages`: negatives and messages expected in the hour. `dispersion` (>= 1): variance over mean of
    hourly negatives. `doubt`: squared coefficient of variation of `mean` itself, from few hours of history. `share`:
    expected share of negatives, with the beta-binomial `concentration` (a + b). `seen`: whether the series had any
    message. `hours`: hours with any traffic.
    """

    mean: Floats
    messages: Floats
    dispersion: Floats
    doubt: Floats
    share: Floats
    concentration: Floats
    seen: Flags
    fitted: Flags
    hours: int


def fit(rollups: Rollups, hour: datetime, wanted: Flags, excluded: Flags, *, days: int, guard: int) -> Baseline:
    """The baseline of the UTC hour that starts at `hour`.

    Args:
        rollups: must hold the `days` before `hour`.
        wanted: [series], which ones to fit; the sums over all topics are fitted in any case.
        excluded: [series, hours of `rollups`], True where an episode was running: those hours teach nothing.
        days: length of the history.
        guard: hours just before `hour` that are left out, so that a spike in the making is not its own baseline.
    """
    fitted = wanted | rollups.whole
    found = {name: np.zeros(fitted.shape) for name in _FITTED}
    parts = list(blocks(rollups, fitted))
    fits = together(lambda block: _fit(rollups, hour, block, excluded, days, guard), parts)
    for block, (_, *values) in zip(parts, fits, strict=True):
        for name, value in zip(_FITTED, values, strict=True):
            found[name][block.rows] = value
    end = rollups.hour_index(hour)
    seen = np.asarray(rollups.hour_n[:, end - 24 * days : end - guard].any(axis=1))
    return Baseline(**found, seen=seen, fitted=fitted, hours=fits[0][0])


@dataclass(frozen=True, slots=True)
class Block:
    """Some series by their `rows` in the rollups; the sums over all topics come first in every block.

    Whatever leans on those sums finds them here, so that blocks are independent of each other: `totals` are places
    within the block, of each one's stream's sum, and `total` is that of the sum of all.
    """

    rows: npt.NDArray[np.int64]
    totals: npt.NDArray[np.int64]
    total: int


def blocks(rollups: Rollups, wanted: Flags) -> Iterator[Block]:
    """The `wanted` series in blocks of one size."""
    sums, others = np.flatnonzero(rollups.whole), np.flatnonzero(wanted & ~rollups.whole)
    total = int(np.searchsorted(sums, rollups.series.index(Series(ALL, ALL))))
    for part in np.array_split(others, max(-(-others.size // _BLOCK), 1)):
        rows = np.concatenate((sums, part))
        yield Block(rows, np.searchsorted(sums, rollups.totals[rows]), total)


def together(work: Callable[[T], R], blocks: Sequence[T]) -> list[R]:
    """What `work` makes of each block, on as many cores as there are: numpy leaves the interpreter alone meanwhile."""
    threads = min(len(blocks), os.cpu_count() or 1, _MOST_THREADS)
    if threads < 2:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(threads, "baseline") as pool:
        return list(pool.map(work, blocks))


def _fit(
    rollups: Rollups, hour: datetime, block: Block, excluded: Flags, days: int, guard: int
) -> tuple[int, Reals, Reals, Reals, Reals, Reals, Reals]:
    """Hours with any traffic, and the values of one block in the order of `_FITTED`."""
    end = rollups.hour_index(hour)
    span = slice(end - 24 * days, end)
    rows, total = block.rows, block.total
    y, n = (counts[rows, span].astype(np.float32) for counts in (rollups.hour_negative, rollups.hour_n))
    if guard:
        y[:, -guard:] = n[:, -guard:] = 0
    # An hour in which nothing at all arrived (an outage, a closed feed) says nothing about anyone.
    active = n[total] > 0
    age = np.arange(24 * days, 0, -1) / 24
    recency = (0.5 ** (age / _RECENCY_DAYS)).astype(np.float32)
    weight = np.where(active & ~excluded[rows, span], recency, 0.0)
    grid = DayGrid(hour, days)
    profile, exposure = exposures(grid, n[total], weight[total])
    fitted, kept, hours = robust(grid, y, weight, grid.cells(weight * exposure), profile, exposure)
    dispersion = _dispersion(y, np.maximum(grid.spread(fitted) * exposure, _LEAST_EXPECTED), kept)
    mean = fitted[:, grid.weekend, 0]
    near = grid.here(kept)
    backing = np.maximum(near + np.minimum(_SHRINK_HOURS, kept.sum(axis=1)), 1.0)
    doubt = dispersion / (np.maximum(mean, 0.02) * backing) + _NEW_HOUR * _SHRINK_HOURS / (near + _SHRINK_HOURS)
    messages = grid.smooth(grid.cells(kept * n), hours, profile)[:, grid.weekend, 0]
    return int(active.sum()), mean, messages, dispersion, doubt, *_shares(block, y, n, kept)


class DayGrid:
    """Columns of hourly history as (kind of day, hour of the day); hour 0 is the hour that is being judged."""

    def __init__(self, hour: datetime, days: int) -> None:
        self.weekend = int(hour.weekday() >= 5)
        days_on = (hour.hour + np.arange(-24 * days, 0)) // 24
        self.kinds = ((hour.weekday() + days_on) % 7 >= 5).astype(np.int64)
        self._cells = 24 * self.kinds + np.tile(np.arange(24), days)
        self._order = np.argsort(self._cells, kind="stable")
        self._filled, self._starts = np.unique(self._cells[self._order], return_index=True)

    def cells(self, values: Reals) -> Reals:
        """Sums of [..., hours] by hour of the day, [..., 48]: working days, then weekends."""
        sums = np.zeros((*values.shape[:-1], _CELLS), values.dtype)
        sums[..., self._filled] = np.add.reduceat(values[..., self._order], self._starts, axis=-1)
        return sums

    def some(self, row: npt.NDArray[np.int64], column: npt.NDArray[np.int64], values: Reals, rows: int) -> Reals:
        """`cells` of [rows, hours] that is zero but for `values` at these places."""
        sums = np.bincount(row * _CELLS + self._cells[column], values, _CELLS * rows)
        return sums.reshape(rows, _CELLS).astype(values.dtype)

    def near(self, cells: Reals) -> Reals:
        """[..., 48] to [..., 2 kinds of day, 24], one hour to either side and the other kind of day included."""
        own = cells.reshape(*cells.shape[:-1], 2, 24)
        mixed = own + _OTHER_DAYS * own[..., ::-1, :]
        both: Reals = mixed + np.roll(mixed, 1, axis=-1) + np.roll(mixed, -1, axis=-1)
        return both

    def sums(self, values: Reals) -> Reals:
        """`near` of the hours' values."""
        return self.near(self.cells(values))

    def here(self, values: Reals) -> Reals:
        """`sums` at the hour that is being judged."""
        return self.sums(values)[..., self.weekend, 0]

    def profile(self, traffic: Reals, weight: Reals) -> Reals:
        """How busy each hour of each kind of day is, relative to the mean; [2, 24]."""
        level = (float(weight @ traffic) + 1.0) / (float(weight.sum()) + 1.0)
        pooled = (self.sums(weight * traffic) + _PROFILE_HOURS * level) / (self.sums(weight) + _PROFILE_HOURS)
        return pooled / level

    def smooth(self, counted: Reals, hours: Reals, profile: Reals) -> Reals:
        """Expected hourly counts, [series, 2, 24]: the same hours, shrunk towards the level times the profile.

        `counted` are the weighted counts by cell, [series, 48], and `hours` the weights, less what gaps lack.
        """
        level = (counted.sum(axis=-1) + _PRIOR_LEVEL * _PRIOR_HOURS) / (hours.sum(axis=-1) + _PRIOR_HOURS)
        prior = level[..., np.newaxis, np.newaxis] * profile
        near: Reals = self.near(counted) + _SHRINK_HOURS * prior
        return near / (self.near(hours) + _SHRINK_HOURS)

    def spread(self, expected: Reals) -> Reals:
        """[series, 2, 24] back to [series, hours]."""
        return expected.reshape(-1, _CELLS)[:, self._cells]


def exposures(grid: DayGrid, traffic: Reals, weight: Reals) -> tuple[Reals, Reals]:
    """The traffic's profile, [2, 24], and the part of the usual traffic that each hour of history had, [hours].

    A wire that is missing for a day is no calm day: its hours count as the part that they are. Judged over a day
    around each hour, against the median of working days or weekends, and only well below it.
    """
    profile = grid.profile(traffic, weight)
    used, near = weight > 0, np.ones(_GAP_HOURS, traffic.dtype)
    shape = np.convolve(grid.spread(profile[np.newaxis])[0] * used, near, "same")
    level = np.convolve(traffic * used, near, "same") / np.maximum(shape, 1e-6)
    exposure = np.ones_like(traffic)
    for kind in (0, 1):
        mine = used & (grid.kinds == kind)
        if mine.any():
            part = level[mine] / np.maximum(np.median(level[mine]), 1e-6)
            exposure[mine] = np.where(part < _GAP, np.maximum(part, _LEAST_EXPOSURE), 1.0)
    return profile, exposure


def robust(
    grid: DayGrid, y: Reals, weight: Reals, hours: Reals, profile: Reals, exposure: Reals
) -> tuple[Reals, Reals, Reals]:
    """Expected hourly counts, [series, 2, 24], with outbreaks weighted down; the weights left, [series, hours]; their
    sums by cell, [series, 48], where `hours` are those before, of the hours' exposure."""
    counted, counts, sixth_exposure = grid.cells(weight * y), np.cbrt(y * y), exposure ** (1 / 6)
    unused = weight <= 0
    middle = np.maximum(weight.shape[1] - unused.sum(axis=1, keepdims=True) - 1, 0) // 2
    fitted = grid.smooth(counted, hours, profile)
    residual, squares = np.empty_like(y), np.empty_like(y)  # written again and again, to stay in the cache
    for _ in range(3):
        # Of the few hours of a week, not of all hours of the history: roots are what costs.
        sixth = grid.spread(fitted ** (1 / 6))
        np.maximum(np.multiply(sixth, sixth_exposure, out=sixth), _LEAST_EXPECTED ** (1 / 6), out=sixth)
        np.divide(counts, sixth, out=residual)
        np.multiply(np.square(sixth, out=squares), sixth, out=squares)
        np.subtract(residual, squares, out=residual)
        np.copyto(np.square(residual, out=squares), np.inf, where=unused)
        squares.partition(np.unique(middle), axis=1)
        median = np.take_along_axis(squares, middle, axis=1)[:, 0]
        scale = np.maximum(np.where(np.isfinite(median), median, 0.0) / _MEDIAN_CHI2, 1 / _ANSCOMBE**2)
        limit = _OUTBREAK * np.sqrt(scale)
        # The scale is the median's: half of the history may be an outbreak. Few hours stand out, and what they are
        # worth less is taken off the sums.
        row, column = np.divmod(np.flatnonzero(residual > limit[:, np.newaxis]), weight.shape[1])
        lost = weight[row, column] * (1 - np.square(limit[row] / residual[row, column]))
        off = [grid.some(row, column, lost * part, len(y)) for part in (y[row, column], exposure[column])]
        fitted = grid.smooth(counted - off[0], hours - off[1], profile)
    kept = weight.copy()
    kept[row, column] -= lost
    return fitted, kept, hours - off[1]


def _dispersion(y: Reals, expected: Reals, kept: Reals) -> Reals:
    """Variance over mean of hourly negatives, little history leaning on what is usual; [series], at least 1."""
    chi2 = (kept * np.square(y - expected) / expected).sum(axis=1)
    taught = np.maximum(kept.sum(axis=1) - 1, 0)
    dispersion: Reals = (chi2 + _PRIOR_DISPERSION * _DISPERSION_HOURS) / (taught + _DISPERSION_HOURS)
    return np.maximum(dispersion, 1.0)


def _shares(block: Block, y: Reals, n: Reals, weight: Reals) -> tuple[Reals, Reals]:
    """Share of negatives and the beta's concentration by series; the stream's own total is the prior's mean."""
    negatives, messages = (weight * y).sum(axis=1), (weight * n).sum(axis=1)
    pooled = (negatives + _PRIOR_SHARE * _SHARE_MESSAGES) / (messages + _SHARE_MESSAGES)
    totals = block.totals
    parent = pooled[totals]
    share = (negatives + parent * _SERIES_MESSAGES) / (messages + _SERIES_MESSAGES)
    variance = n * (share * (1 - share))[:, np.newaxis]
    excess = np.divide((y - n * share[:, np.newaxis]) ** 2, variance, out=np.zeros_like(y), where=n > 0) - (n > 0)
    pairs = (weight * np.maximum(n - 1, 0)).sum(axis=1)
    correlation = ((weight * excess).sum(axis=1) + _PRIOR_CORRELATION * _CORRELATION_PAIRS) / (
        pairs + _CORRELATION_PAIRS
    )
    correlation = np.clip(correlation, _LEAST_CORRELATION, _MOST_CORRELATION)
    backing = messages + _SERIES_MESSAGES + np.minimum(messages[totals], _SHARE_MESSAGES)
    unsure = correlation + 1 / (backing + 1 + _SHARE_MESSAGES * (messages[totals] < _SHARE_MESSAGES))
    return share, np.maximum(1 / unsure - 1, 1.0)
