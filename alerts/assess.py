"""Which series stand out in which minute: the first of two stages, from counts alone.

One event hour at a time, all its minutes, series and windows at once. What passes is a `Spike`; whether enough distinct
people and texts stand behind it is decided in `alerts.evidence`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from alerts.baseline import Baseline
from alerts.series import HOUR, MINUTE, Counts, Rollups, Series, floor_hour, window_sums
from alerts.settings import AlertsSettings
from alerts.spikes import Floats, benjamini_hochberg, beta_binomial_tail, negative_binomial_tail

Test = Literal["volume", "share"]
TESTS: tuple[Test, ...] = ("volume", "share")

_HIGH_P_VALUE = 1e-3  # hysteresis: a series stays high far below what it needs to fire
_HIGH_EFFECT = 1.5
_DRIFT = 0.04  # squared coefficient of variation of levels that no history explains
_QUIET_TRAFFIC = 5.0  # messages added to both sides of the traffic ratio, so that small counts stay near 1


@dataclass(frozen=True, slots=True)
class Spike:
    """A window that is too negative: what was seen, what was expected, and the law it broke.

    `p_value` is one test's own; `corrected` counts the series' other tests; it had to be at most `limit`.
    `effect_size` is the least ratio of seen to expected.
    """

    series: Series
    minute: datetime
    window: int
    test: Test
    observed: int
    messages: int
    expected: float
    p_value: float
    corrected: float
    limit: float
    mean: float
    variance: float
    share: float
    concentration: float
    effect_size: float = 2.0

    def retest(self, observed: int, copies: int) -> float:
        """The test's p-value for fewer negatives, after `copies` messages are taken out of the window."""
        if self.test == "volume":
            return float(negative_binomial_tail(observed, self.mean, self.variance))
        messages = max(self.messages - copies, observed)
        return float(beta_binomial_tail(observed, messages, self.share, self.concentration)[0])


@dataclass(frozen=True, slots=True)
class Hour:
    """What one hour's minutes showed: `fires` by minute, strongest first, and the series still `high` by minute."""

    fires: dict[datetime, list[Spike]] = field(default_factory=dict)
    high: dict[datetime, set[Series]] = field(default_factory=dict)


class Windows:
    """Window sums of a range of minutes, computed once: `n[w]`, `negative[w]` are [series, minutes]."""

    def __init__(self, rollups: Rollups, lengths: tuple[int, ...]) -> None:
        self.lengths = lengths
        self.n = window_sums(rollups.n, lengths)
        self.negative = window_sums(rollups.negative, lengths)
        self.busiest: Counts = self.negative.max(axis=(0, 1), initial=0)


def low_floor(settings: AlertsSettings) -> int:
    """Negatives below which a window is calm whatever its p-value."""
    return max(2, settings.min_negative // 2)


def assess(rollups: Rollups, windows: Windows, baseline: Baseline, columns: slice, settings: AlertsSettings) -> Hour:
    """Spikes and high series, of those that the baseline knows, in the minutes `columns` (all in its hour)."""
    n, negative = windows.n[:, :, columns], windows.negative[:, :, columns]
    window, row, minute = np.nonzero((negative >= low_floor(settings)) & baseline.fitted[:, np.newaxis])
    if not window.size:
        return Hour()
    length = np.asarray(windows.lengths, dtype=np.float64)[window] * (MINUTE / HOUR)
    seen, messages = negative[window, row, minute], n[window, row, minute]
    law = _Law.of(baseline, row, length, _traffic(rollups, n, baseline, windows.lengths)[window, row, minute])
    p_values, high = _judge(seen, messages, law, baseline, row, settings)
    where = _Where(window, row, minute)
    start = rollups.first_minute + columns.start * MINUTE
    hour = floor_hour(start)
    tests = rollups.tests(hour, (baseline.seen[:, np.newaxis] | (n[-1] > 0)).sum(axis=0))
    found = Hour()
    for index in np.flatnonzero(high):
        found.high.setdefault(start + int(minute[index]) * MINUTE, set()).add(rollups.series[row[index]])
    corrected = np.minimum(p_values * (len(TESTS) * len(windows.lengths)), 1.0)
    limits = _limits(corrected, where, negative.shape, tests, settings.false_alarm_rate)
    for test, index in zip(*np.nonzero(corrected <= limits[minute]), strict=True):
        at = start + int(minute[index]) * MINUTE
        share_expected = float(messages[index] * law.share[index])
        spike = Spike(
            series=rollups.series[row[index]],
            minute=at,
            window=windows.lengths[window[index]],
            test=TESTS[test],
            observed=int(seen[index]),
            messages=int(messages[index]),
            expected=float(law.mean[index]) if TESTS[test] == "volume" else share_expected,
            p_value=float(p_values[test, index]),
            corrected=float(corrected[test, index]),
            limit=float(limits[minute[index]]),
            mean=float(law.mean[index]),
            variance=float(law.variance[index]),
            share=float(law.share[index]),
            concentration=float(law.concentration[index]),
            effect_size=settings.effect_size,
        )
        found.fires.setdefault(at, []).append(spike)
    for spikes in found.fires.values():
        spikes.sort(key=_strength)
    return found


def _strength(spike: Spike) -> tuple[bool, float, str, str, str, int, str]:
    """Concrete topics before all topics, then the least likely first; the rest makes the order total."""
    return (spike.series.whole, spike.p_value, *spike.series, spike.window, spike.test)


@dataclass(frozen=True, slots=True)
class _Where:
    """Indices of the candidates: window, series and minute of each."""

    window: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    minute: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Law:
    """What the baseline says of each candidate's window; each array is [candidates]."""

    mean: Floats
    variance: Floats
    usual: Floats
    share: Floats
    concentration: Floats

    @classmethod
    def of(cls, baseline: Baseline, row: npt.NDArray[np.int64], hours: Floats, traffic: Floats) -> "_Law":
        usual = baseline.mean[row] * hours
        mean = usual * traffic
        variance = baseline.dispersion[row] * mean + mean * mean * (baseline.doubt[row] + _DRIFT)
        return cls(mean, variance, usual, baseline.share[row], baseline.concentration[row])


def _judge(
    seen: Counts,
    messages: Counts,
    law: _Law,
    baseline: Baseline,
    row: npt.NDArray[np.int64],
    settings: AlertsSettings,
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """P-values that may fire, [test, candidates] (1 where a gate is shut), and which candidates are still high."""
    portion = seen / np.maximum(messages, 1)
    odds = _odds(portion) / _odds(law.share)
    gates = {
        "volume": (portion >= law.share) & (baseline.hours >= settings.min_history_hours),
        "share": seen > np.maximum(law.usual, messages * law.share),
    }
    effect = {"volume": seen / law.mean, "share": odds}
    p_values = np.ones((len(TESTS), seen.size))
    high = np.zeros(seen.size, dtype=np.bool_)
    for index, test in enumerate(TESTS):
        asked = gates[test] & (effect[test] >= min(_HIGH_EFFECT, settings.effect_size))
        tail = np.ones(seen.size)
        if test == "volume":
            tail[asked] = negative_binomial_tail(seen[asked], law.mean[asked], law.variance[asked])
        else:
            tail[asked] = beta_binomial_tail(seen[asked], messages[asked], law.share[asked], law.concentration[asked])
        high |= tail <= _HIGH_P_VALUE
        fit_to_fire = asked & (effect[test] >= settings.effect_size) & (seen >= settings.min_negative)
        p_values[index] = np.where(fit_to_fire, tail, 1.0)
    return p_values, high


def _odds(share: Floats) -> Floats:
    return np.asarray(share / np.maximum(1 - share, 1e-3), dtype=np.float64)


def _limits(
    corrected: Floats, where: _Where, shape: tuple[int, ...], tests: npt.NDArray[np.int64], level: float
) -> Floats:
    """The largest p-value that fires, by minute; below any p-value where none does."""
    best = np.ones((shape[1], shape[2]))
    np.minimum.at(best, (where.row, where.minute), corrected.min(axis=0))
    limits = benjamini_hochberg(best, tests, level)
    return np.asarray(np.where(limits > 0, limits, -1.0), dtype=np.float64)


def _traffic(rollups: Rollups, n: Counts, baseline: Baseline, lengths: tuple[int, ...]) -> Floats:
    """How much busier than usual everything else is, at least 1; [window, series, minutes].

    A rise of all traffic raises every topic's negatives too and is no news about any of them. Of a topic, everything
    else is the other topics in its streams; of all topics it is their own traffic, which leaves them the share test.
    """
    totals, whole = rollups.totals, rollups.whole
    hours = (np.asarray(lengths, dtype=np.float64) * (MINUTE / HOUR))[:, np.newaxis, np.newaxis]
    others = n[:, totals] - np.where(whole[:, np.newaxis], 0, n)
    usual = baseline.messages[totals] - np.where(whole, 0.0, baseline.messages)
    expected = np.maximum(usual, 0.0)[np.newaxis, :, np.newaxis] * hours
    return np.asarray(np.maximum((others + _QUIET_TRAFFIC) / (expected + _QUIET_TRAFFIC), 1.0), dtype=np.float64)
