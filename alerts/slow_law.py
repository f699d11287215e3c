"""What is normal for windows of hours: expected counts, their spread, and how alike their messages are.

Expected counts are summed hour by hour; the spread is that of windows of the same length in the history, outbreaks
weighted down (after Noufaily et al. 2013, doi:10.1002/sim.5595). Pure and vectorised; used by `alerts.slow`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from alerts.baseline import Block, DayGrid, Flags, Reals, exposures, robust

_RECENCY_DAYS = 14.0
_OUTBREAK = 2.0  # windows that stand out by more are weighted down in the estimate of the spread
_PRIOR_WINDOWS = 4.0
_PRIOR_SPREAD, _PRIOR_CORRELATION, _PRIOR_PAIRS = 0.05, 0.02, 400.0
_MOST_CORRELATION, _LEAST_CORRELATION = 0.3, 0.003
_GUARD_HOURS = 24  # hours before the judged one that teach nothing, so that a burn is not its own baseline
_NEW, _NEW_CORRELATION = 1.0, 0.1  # doubt of a time of day that was seen on half a day only; falls with its square
_SHARE_MESSAGES = 40.0  # weight of the stream's share against the series' own
_GAP, _GAP_HOURS = 0.4, 6  # part of the usual traffic in so many hours, below which something is missing
_HOURS_POOLED = 3  # an hour and its neighbours, see `DayGrid.sums`
_QUIET_TRAFFIC = 5.0
_SURGE = 0.15  # doubt that a topic rises as everything else does, where that rises many times over


Rows = npt.NDArray[np.int64]
_OF_SERIES = ("y", "n", "expected", "usual", "complete", "kept", "totals")


def trailing(values: Reals, length: int) -> Reals:
    """Sums over the last `length` columns up to and including each one; shape as `values`."""
    total, width = np.zeros_like(values), 0
    power, size = values, 1  # sums over 1, 2, 4, … columns: differences of running sums would lose digits
    while True:
        if length & size:
            total[..., width:] += power[..., : power.shape[-1] - width]
            width += size
        if width == length:
            break
        doubled = power.copy()
        doubled[..., size:] += power[..., :-size]
        power, size = doubled, 2 * size
    return total


@dataclass(frozen=True, slots=True)
class History:
    """Counts and what was to be expected of them, hour by hour up to the judged one; arrays are [series, hours].

    Hours in which nothing at all arrived have no expectations; `complete` are the usual messages of a series' stream
    in those hours as well.

    `expected` negatives and `usual` messages are those of full traffic, `exposure` [hours] is the part of it that
    there was. `kept` are the weights of hours that teach, zero within the last day. `near` [hours] is how many
    days have taught what is known of an hour's time of day. `totals` [series] are the places of the streams' sums over
    all topics, which come first.
    """

    y: Reals
    n: Reals
    expected: Reals
    usual: Reals
    complete: Reals
    exposure: Reals
    kept: Reals
    near: Reals
    totals: npt.NDArray[np.int64]

    def only(self, rows: Rows) -> "History":
        """The history of these series; without the sums it is a part for `together` alone."""
        parts = {name: getattr(self, name)[rows] for name in _OF_SERIES}
        return History(**parts, exposure=self.exposure, near=self.near)

    @staticmethod
    def together(parts: Sequence["History"]) -> "History":
        """The histories of several blocks as one; the first holds the sums."""
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _OF_SERIES}
        return History(**joined, exposure=parts[0].exposure, near=parts[0].near)


def learn(block: Block, hour: datetime, y: Reals, n: Reals, teaches: Flags, *, days: int) -> History:
    """Learn from the `days` before `hour`, of whose hours those count that are marked in `teaches`, [series, hours]."""
    total = block.total
    active = n[total] > 0
    age = np.arange(24 * days, 0, -1) / 24
    recency = (0.5 ** (age / _RECENCY_DAYS)).astype(np.float32)
    weight = np.where(active & (age > _GUARD_HOURS / 24) & teaches, recency, 0.0)
    grid = DayGrid(hour, days)
    profile, exposure = exposures(grid, n[total], weight[total])
    hours = grid.cells(weight * exposure)
    fitted, kept, _ = robust(grid, y, weight, hours, profile, exposure)
    usual = grid.spread(grid.smooth(grid.cells(weight * n), hours, profile))
    return History(
        y,
        n,
        expected=np.where(active, np.maximum(grid.spread(fitted), 1e-3), 0.0),
        usual=usual * active,
        complete=usual[block.totals],
        exposure=exposure,
        kept=kept,
        near=grid.spread(grid.sums(kept[total]))[0] / _HOURS_POOLED,
        totals=block.totals,
    )


@dataclass(frozen=True, slots=True)
class Law:
    """What is normal for the last `length` hours; each array is [series].

    `factor`: how much busier everything else was, which is in the `mean`. `part`: of the window that is without gaps.
    What takes a look at the whole history is told for some `rows` alone.
    """

    history: History
    length: int
    mean: Reals
    factor: Reals
    share: Reals
    part: Reals

    @classmethod
    def of(cls, history: History, length: int) -> "Law":
        """The law of the last `length` hours."""
        factor = _traffic(history, length)
        mean = _expected(history, length) * factor
        return cls(history, length, mean, factor, _share(history, length), _whole(history, length))

    def variance(self, rows: Rows) -> Reals:
        """Of the number of negatives."""
        mean, surge, new = self.mean[rows], (1 - 1 / self.factor[rows]) ** 4, self._new()
        spread = _spread(self.history, self.length, rows) * (1 + new) + _NEW * new * new + _SURGE * surge
        return mean + mean * mean * spread

    def concentration(self, rows: Rows) -> Reals:
        """The beta-binomial's a + b."""
        correlation = _correlation(self.history, self.length, rows) + _NEW_CORRELATION * self._new() ** 2
        return np.maximum(1 / correlation - 1, 1.0)

    def _new(self) -> float:
        return float(1 / (self.history.near[-self.length :].mean() + 0.5))


def odds(share: Reals) -> Reals:
    """Chances for against chances against."""
    return share / np.maximum(1 - share, 1e-3)


def _expected(history: History, length: int) -> Reals:
    expected: Reals = np.maximum(history.expected[:, -length:].sum(axis=1), 0.02)
    return expected


def _past(kept: Reals, length: int) -> Reals:
    """Weights of the windows in the history: overlapping ones are worth one for each length, [series, hours]."""
    weight = trailing(kept, length) / length / length
    weight[:, : length - 1] = 0
    return weight


def _spread(history: History, length: int, rows: Rows) -> Reals:
    """Squared coefficient of variation of windows beyond a Poisson law's, outbreaks weighted down."""
    expected = _expected(history, length)[rows]
    usual = trailing(history.expected[rows] * history.exposure, length)
    off = trailing(history.y[rows], length) - usual
    weight = _past(history.kept[rows], length)
    spread: Reals = np.full_like(expected, _PRIOR_SPREAD)
    for _ in range(3):
        deviation = off / np.sqrt(np.maximum(usual + spread[:, np.newaxis] * usual * usual, 0.05))
        kept = weight / np.square(np.square(np.maximum(deviation / _OUTBREAK, 1.0)))
        square = (kept * usual * usual).sum(axis=1) + _PRIOR_WINDOWS * expected * expected
        excess = (kept * (off * off - usual)).sum(axis=1) + _PRIOR_WINDOWS * _PRIOR_SPREAD * expected * expected
        spread = np.maximum(excess / square, _PRIOR_SPREAD / 5)
    return spread


def _traffic(history: History, length: int) -> Reals:
    """How much busier than usual everything else was, at least 1; see `alerts.assess`."""
    totals = history.totals
    whole = totals == np.arange(totals.size)
    window, usual = (part[:, -length:].sum(axis=1) for part in (history.n, history.usual))
    others = window[totals] - np.where(whole, 0.0, window)
    expected = usual[totals] - np.where(whole, 0.0, usual)
    ratio: Reals = (others + _QUIET_TRAFFIC) / (np.maximum(expected, 0.0) + _QUIET_TRAFFIC)
    return np.maximum(ratio, 1.0)


def _whole(history: History, length: int) -> Reals:
    """The part of the window and of the hours before it, by usual traffic, in which no sources were missing."""
    last = length + 2 * _GAP_HOURS
    complete, n = history.complete[:, -last:], history.n[:, -last:][history.totals]
    whole = trailing(n, _GAP_HOURS) + _QUIET_TRAFFIC / 2 >= _GAP * trailing(complete, _GAP_HOURS)
    weight = complete[:, _GAP_HOURS:]
    part: Reals = (weight * whole[:, _GAP_HOURS:]).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    return part


def _share(history: History, length: int) -> Reals:
    """Expected share of negatives at the window's hours of the week, little history leaning on the stream's."""
    totals = history.totals
    negatives, messages = (part[:, -length:].sum(axis=1) for part in (history.expected, history.usual))
    taught = (history.kept * history.n).sum(axis=1)
    stream = (negatives + 1) / (messages + 4)
    own = negatives / np.maximum(messages, 1e-3)
    pooled = (taught * np.minimum(own, 1.0) + _SHARE_MESSAGES * stream[totals]) / (taught + _SHARE_MESSAGES)
    share: Reals = np.clip(pooled, 0.01, 0.97)
    return share


def _correlation(history: History, length: int, rows: Rows) -> Reals:
    """How alike messages of one window are (the beta-binomial's), outbreaks weighted down."""
    parts = (history.y, history.n, history.expected, history.usual)
    y, n, e, m = (trailing(part[rows], length) for part in parts)
    p = np.clip(e / np.maximum(m, 1e-3), 0.01, 0.97)
    whole = trailing((history.exposure >= 1.0).astype(np.float32)[np.newaxis], length) >= length
    weight = np.where(whole & (n >= 2), _past(history.kept[rows], length), 0.0)
    off = y - n * p
    variance = n * p * (1 - p)
    pairs, excess = variance * np.maximum(n - 1, 0), off * off - variance
    correlation: Reals = np.full(n.shape[0], _PRIOR_CORRELATION, n.dtype)
    for _ in range(3):
        deviation = off / np.sqrt(np.maximum(variance + pairs * correlation[:, np.newaxis], 0.05))
        kept = weight / np.square(np.square(np.maximum(deviation / _OUTBREAK, 1.0)))
        seen = (kept * pairs).sum(axis=1) + _PRIOR_PAIRS
        beyond = (kept * excess).sum(axis=1) + _PRIOR_PAIRS * _PRIOR_CORRELATION
        correlation = np.clip(beyond / seen, _LEAST_CORRELATION, _MOST_CORRELATION)
    return correlation
