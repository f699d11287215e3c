"""What is normal for each row of a count series: learnt hour by hour from the rows before it. Pure.

The method is that of the production baseline (`alerts.baseline`), for one series whose rows come at any step: the same
hour of the day (one hour to either side), the other kind of day (working day, weekend) counting a quarter, shrunk
towards the recent level; hours that stand out are weighted down by their Anscombe residual. After Farrington flexible
(Noufaily et al. 2013, doi:10.1002/sim.5595). Means are by row and not by hour, so that a gap lacks rows and is no calm.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerts.spikes import Floats

Numbers = npt.NDArray[np.int64]

HOUR_S, HISTORY_DAYS = 3_600, 28
_RECENCY_DAYS = 14.0  # an hour two weeks old counts half
_OTHER_DAYS = 0.25  # weight of weekend hours for a working day and the reverse
_OUTBREAK = 2.58  # residuals above are weighted down (Noufaily et al.)
_SHRINK_HOURS = 6.0  # weight of the recent level against the same hour of other days
_PRIOR_LEVEL = 0.5  # counts an hour of a series never seen
_PRIOR_DISPERSION, _DISPERSION_HOURS = 2.0, 12.0
_NEW_HOUR = 0.5  # squared coefficient of variation of an hour of the day that was never seen
_LEAST = 0.02  # counts expected in an hour, at least
_MEDIAN_CHI2 = 0.4549
_GUARD = 1  # hours just before the judged one that are left out: a spike in the making is not its own baseline


@dataclass(frozen=True, slots=True)
class Expected:
    """For the rows of one hour: counts expected of a row, their variance over mean (>= 1), and the squared coefficient
    of variation of the expectation itself (from few hours of history)."""

    rows: slice
    mean: float
    dispersion: float
    doubt: float


@dataclass(frozen=True, slots=True)
class Hours:
    """A series by clock hour (UTC): rows and sum of each hour, [hours], and where its rows start, [hours + 1]."""

    first: int
    """Hours since the epoch."""
    rows: Floats
    sums: Floats
    starts: Numbers


def by_hour(seconds: Floats, values: Floats) -> Hours:
    """Rows (not falling, [rows], seconds since the epoch) with their values put into hours."""
    hour = (seconds // HOUR_S).astype(np.int64)
    index = hour - hour[0]
    count = int(index[-1]) + 1
    rows = np.bincount(index, minlength=count).astype(np.float64)
    sums = np.bincount(index, values, minlength=count).astype(np.float64)
    return Hours(int(hour[0]), rows, sums, np.searchsorted(index, np.arange(count + 1)).astype(np.int64))


def expectations(hours: Hours) -> Iterator[Expected]:
    """What is expected of the rows of each hour that has some, in order, from hours before it alone.

    The rows of the first hours, which nothing came before, are left out.
    """
    for hour in np.flatnonzero(hours.rows > 0):
        start, end = max(int(hour) - 24 * HISTORY_DAYS, 0), int(hour) - _GUARD
        if end > start and hours.rows[start:end].any():
            mean, dispersion, doubt = _fit(hours, int(hour), slice(start, end))
            yield Expected(slice(int(hours.starts[hour]), int(hours.starts[hour + 1])), mean, dispersion, doubt)


def _fit(hours: Hours, hour: int, span: slice) -> tuple[float, float, float]:
    """Mean by row, dispersion of hourly sums, and doubt, for one hour."""
    index = np.arange(span.start, span.stop)
    rows, sums = hours.rows[span], hours.sums[span]
    weight = np.where(rows > 0, 0.5 ** ((hour - index) / 24 / _RECENCY_DAYS), 0.0)
    cells = _cells(hours.first + np.append(index, hour))
    here, cells = int(cells[-1]), cells[:-1]
    a_full_hour = float(rows.sum() / (rows > 0).sum())
    kept = weight
    for _ in range(3):
        means, _near = _smooth(rows, sums, kept, cells, a_full_hour)
        kept = weight * _unlike_outbreaks(sums, np.maximum(means[cells] * rows, _LEAST), weight > 0)
    means, near = _smooth(rows, sums, kept, cells, a_full_hour)
    expected = np.maximum(means[cells] * rows, _LEAST)
    chi2, backing = float((kept * (sums - expected) ** 2 / expected).sum()), float(kept.sum())
    dispersion = (chi2 + _PRIOR_DISPERSION * _DISPERSION_HOURS) / (max(backing - 1, 0.0) + _DISPERSION_HOURS)
    dispersion, mean, like = max(dispersion, 1.0), float(means[here]), float(near[here])
    behind = max(like + min(_SHRINK_HOURS, backing), 1.0)
    doubt = dispersion / (max(mean * a_full_hour, _LEAST) * behind) + _NEW_HOUR * _SHRINK_HOURS / (like + _SHRINK_HOURS)
    return mean, dispersion, doubt


def _cells(hours: Numbers) -> Numbers:
    """Hours since the epoch, a Thursday, to 24 x weekend + hour of the day."""
    return np.asarray(24 * ((hours // 24 + 3) % 7 >= 5) + hours % 24, dtype=np.int64)


def _smooth(rows: Floats, sums: Floats, weight: Floats, cells: Numbers, a_full_hour: float) -> tuple[Floats, Floats]:
    """Mean by row, [48], and the weight of hours behind it, [48]."""
    level = ((weight * sums).sum() + _PRIOR_LEVEL) / ((weight * rows).sum() + a_full_hour)
    near, behind = _neighbours(cells, weight * sums), _neighbours(cells, weight * rows)
    shrink = _SHRINK_HOURS * a_full_hour
    return (near + shrink * level) / (behind + shrink), behind / a_full_hour


def _neighbours(cells: Numbers, values: Floats) -> Floats:
    """Sums by cell, one hour to either side and the other kind of day included, [48]."""
    own = np.bincount(cells, values, minlength=48).reshape(2, 24)
    mixed = own + _OTHER_DAYS * own[::-1]
    return np.asarray(mixed + np.roll(mixed, 1, axis=1) + np.roll(mixed, -1, axis=1), dtype=np.float64).ravel()


def _unlike_outbreaks(sums: Floats, expected: Floats, used: npt.NDArray[np.bool_]) -> Floats:
    """Factors 0..1, [hours]: low for hours far above what is expected, on the scale of the median hour."""
    residual = 1.5 * (np.cbrt(sums * sums) / expected ** (1 / 6) - np.sqrt(expected))
    scale = np.sqrt(max(float(np.median(residual[used] ** 2)) / _MEDIAN_CHI2, 1.0))
    return np.asarray(1 / np.maximum(residual / (scale * _OUTBREAK), 1.0) ** 2, dtype=np.float64)
