"""What never spikes and yet is too much: negatives over hours and days, judged once an hour.

The same two tests as for minutes, over windows of 3, 24 and 72 hours that end with each full hour; together they are a
sequential scan with finite memory, which finds a slow drift and says since when it lasts. What differs is the law:
negatives of one day lean the same way, so that the spread of a window's sum is measured on windows of the same length
in the history, never computed from hours. Expected counts are summed hour by hour over the window.

Page's CUSUM of the share was tried in their place. It adds up hours as if they were independent: sooner where they are,
but the days of real streams lean one way for days on end, and it alarmed several times a week.

How sure it must be follows from the false alarms that are allowed: a window of L hours has about 1440 / L chances a
month. Pure; stands between `alerts.baseline` and `alerts.evaluate`.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from alerts.assess import TESTS, Spike
from alerts.baseline import Block, Flags, Reals, blocks, together
from alerts.series import HOUR, MINUTE, Rollups, Series
from alerts.settings import AlertsSettings
from alerts.slow_law import History, Law, Rows, learn, odds
from alerts.spikes import Floats, benjamini_hochberg, beta_binomial_tail, negative_binomial_tail

_HOURS_A_MONTH = 720
_OVERLAP = 2  # windows that slide by the hour are worth about so many that do not overlap
_TAUGHT_HOURS = 48  # a daily rhythm is known once it was seen twice; until then the windows of minutes watch alone
_STILL_P_VALUE, _STILL_SPREAD, _STILL_NEGATIVES = 0.2, 0.2, 2
_WHOLE = 0.75  # of a window, without gaps: below it, the mix of messages is not the one that the share test knows
_LEVEL = 0.5  # of the false discovery rate; what is expected of the tests is in their correction
_RECENT = 2  # hours: what is back to the usual for so long burns no more
_HIGH_P_VALUE, _HIGH_EFFECT = 0.05, 1.25


@dataclass(frozen=True, slots=True)
class Slow:
    """What one full hour showed: windows that fire, strongest first, and the series that still burn."""

    fires: tuple[Spike, ...] = ()
    high: frozenset[Series] = frozenset()


def look(rollups: Rollups, hour: datetime, excluded: Flags, told: Flags, settings: AlertsSettings) -> Slow:
    """Judge the windows that end where `hour` begins.

    Args:
        rollups: must hold the history before `hour`.
        excluded: [series, hours of `rollups`], True where an episode was running: those hours teach nothing.
        told: the same, True where an alert that has ended has told of it already: a window that holds such an hour
            is not judged.
    """
    end = rollups.hour_index(hour)
    span = slice(end - 24 * settings.history_days, end)
    shortest, longest = settings.slow_windows[0], settings.slow_windows[-1]
    y = rollups.hour_negative[:, end - longest : end]
    able = (y.sum(axis=1) >= settings.min_negative) & (y[:, -shortest:].sum(axis=1) > 0)
    if not able.any():
        return Slow()
    rows, history, high = _burning(rollups, hour, able, ~(excluded | told)[:, span], ~told[:, span], settings)
    burning = high & able[rows]
    if not burning.any():
        return Slow()
    series, quiet = [rollups.series[row] for row in rows], ~told[rows, span]
    found = together(lambda length: _judge(history, length, quiet, settings), settings.slow_windows)
    best = np.where(burning, np.minimum.reduce([part.corrected.min(axis=0) for part in found]), 1.0)
    tests = rollups.tests(hour, np.array([rollups.hour_n[:, span].any(axis=1).sum()]))
    limit = float(benjamini_hochberg(best[:, np.newaxis], tests, _LEVEL)[0])
    fires = [
        part.spike(series[row], hour - MINUTE, test, row, limit, settings.slow_effect_size)
        for part in found
        for test, row in zip(*np.nonzero((part.corrected <= limit) & burning), strict=True)
    ]
    fires.sort(key=lambda spike: (spike.series.whole, spike.corrected, *spike.series, spike.window, spike.test))
    still = burning & _recently(history)
    return Slow(tuple(fires), frozenset(series[row] for row in np.flatnonzero(still)))


def _burning(
    rollups: Rollups, hour: datetime, able: Flags, teaches: Flags, quiet: Flags, settings: AlertsSettings
) -> tuple[Rows, History, Flags]:
    """Places and history of the sums over all topics and of the series whose shortest window is high; and which are."""
    end, shortest = rollups.hour_index(hour), settings.slow_windows[0]
    span = slice(end - 24 * settings.history_days, end)
    parts = list(blocks(rollups, able))

    def part(block: Block) -> tuple[Rows, History, Flags]:
        rows, whole = block.rows, rollups.whole[block.rows]
        n, y = (counts[rows, span].astype(np.float32) for counts in (rollups.hour_n, rollups.hour_negative))
        history = learn(block, hour, y, n, teaches[rows], days=settings.history_days)
        high = _judge(history, shortest, quiet[rows], settings).high
        kept = high | whole if block is parts[0] else high & ~whole
        return rows[kept], history.only(np.flatnonzero(kept)), high[kept]

    found = together(part, parts)
    rows = np.concatenate([part for part, _, _ in found])
    history = History.together([part for _, part, _ in found])
    return rows, history, np.concatenate([part for _, _, part in found])


def _recently(history: History) -> Flags:
    """Which series were above the usual in the last hours, too."""
    seen, usual = (part[:, -_RECENT:].sum(axis=1) for part in (history.y, history.expected))
    usual = np.maximum(usual, 0.02)
    tail = negative_binomial_tail(seen, usual, usual + usual * usual * _STILL_SPREAD)
    return np.asarray((tail <= _STILL_P_VALUE) & (seen >= _STILL_NEGATIVES), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class _Judged:
    """Windows of one length; arrays are [series], `corrected` and `p_values` [test, series]."""

    length: int
    seen: Reals
    messages: Reals
    law: Law
    p_values: Floats
    corrected: Floats
    high: Flags

    def spike(self, series: Series, minute: datetime, test: int, row: int, limit: float, effect_size: float) -> Spike:
        """The `Spike` of one series' test."""
        law, rows = self.law, np.array([row])
        return Spike(
            series=series,
            minute=minute,
            window=self.length * (HOUR // MINUTE),
            test=TESTS[test],
            observed=int(self.seen[row]),
            messages=int(self.messages[row]),
            expected=float(law.mean[row] if TESTS[test] == "volume" else self.messages[row] * law.share[row]),
            p_value=float(self.p_values[test, row]),
            corrected=float(self.corrected[test, row]),
            limit=limit,
            mean=float(law.mean[row]),
            variance=float(law.variance(rows)[0]),
            share=float(law.share[row]),
            concentration=float(law.concentration(rows)[0]),
            effect_size=effect_size,
        )


def _judge(history: History, length: int, quiet: Flags, settings: AlertsSettings) -> _Judged:
    """Both tests for the last `length` hours of each series; those that were told of or have no history stay out."""
    seen, messages = (part[:, -length:].sum(axis=1) for part in (history.y, history.n))
    law = Law.of(history, length)
    judged = quiet[:, -length:].all(axis=1) & ((history.kept > 0).sum(axis=1) >= max(length, _TAUGHT_HOURS))
    portion = seen / np.maximum(messages, 1)
    effects = (seen / law.mean, odds(portion) / odds(law.share))
    gates = (portion >= law.share, (seen > np.maximum(law.mean, messages * law.share)) & (law.part >= _WHOLE))
    least = min(_HIGH_EFFECT, settings.slow_effect_size)
    p_values = np.ones((len(TESTS), seen.size))
    high = np.zeros(seen.size, dtype=np.bool_)
    for index, (effect, gate) in enumerate(zip(effects, gates, strict=True)):
        tail = np.ones(seen.size)
        asked = np.flatnonzero(gate & (effect >= least))
        tail[asked] = _tail(TESTS[index], seen[asked], messages[asked], law, asked)
        high |= (effect >= _HIGH_EFFECT) & (tail <= _HIGH_P_VALUE)
        fit_to_fire = judged & (effect >= settings.slow_effect_size) & (seen >= settings.min_negative)
        p_values[index] = np.where(fit_to_fire, tail, 1.0)
    chances = _HOURS_A_MONTH * _OVERLAP / length * len(settings.slow_windows) * len(TESTS)
    corrected = np.minimum(p_values * (chances * _LEVEL / settings.slow_alarms_per_month), 1.0)
    return _Judged(length, seen, messages, law, p_values, corrected, high)


def _tail(test: str, seen: Reals, messages: Reals, law: Law, rows: Rows) -> Floats:
    """The p-values of some series, [rows]."""
    if test == "volume":
        return negative_binomial_tail(seen, law.mean[rows], law.variance(rows))
    return beta_binomial_tail(seen, messages, law.share[rows], law.concentration(rows))
