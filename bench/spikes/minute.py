"""What one event minute's evaluation costs with thousands of series: the production function over generated rollups.

Each series has four weeks of counts by hour (as many as the settings look back on) with a daily rhythm and rates
that differ by series, and the windows of the minute in question. Three minutes are timed: a `quiet` one, in which no
window holds enough negatives to be tested; a `busy` one, in which a third of the series have to be fitted; and that
`busy` one at the full hour, when the windows of hours are judged, too.
"""

import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from alerts.episodes import Book
from alerts.evaluate import evaluate
from alerts.series import ALL, MINUTE, STREAMS, Counts, Rollups, Series
from alerts.settings import AlertsSettings
from bench.engine.rounds import Watch

_HOUR = datetime(2026, 3, 11, 15, tzinfo=UTC)
_MINUTES = 61
_SHARE = 0.3
_ROUNDS = 7


def run(series: int, watch: Watch) -> dict[str, Any]:
    """Milliseconds of one minute by kind, medians of 7; `series` is rounded up to whole topics."""
    topics = -(-series // (len(STREAMS) + 1))
    settings = AlertsSettings(apprise_urls=[])
    kinds: Mapping[str, tuple[datetime, float]] = {
        "quiet": (_HOUR + 30 * MINUTE, 0.02),
        "busy": (_HOUR + 30 * MINUTE, 1.0),
        "full_hour": (_HOUR, 1.0),
    }
    found: dict[str, Any] = {"series": topics * (len(STREAMS) + 1)}
    for number, (kind, (minute, traffic)) in enumerate(kinds.items()):
        watch("evaluation", number, len(kinds))
        rollups = generate(topics, minute, traffic, settings.history_days)
        found[kind] = _time(rollups, minute, settings)
    watch("evaluation", len(kinds), len(kinds))
    return found


def generate(topics: int, minute: datetime, traffic: float, days: int) -> Rollups:
    """Rollups up to `minute` of so many topics (all topics together among them) in both streams and their sum."""
    chance = np.random.default_rng(20261126)
    hours = 24 * days + 1
    rhythm = 1 + 0.6 * np.sin(np.arange(hours) * (2 * np.pi / 24))
    rate = chance.gamma(2, 8, size=(topics - 1, len(STREAMS), 1)) * rhythm
    names = [ALL, *(f"topic{number}" for number in range(topics - 1))]
    series = tuple(Series(topic, stream) for topic in names for stream in (*STREAMS, ALL))
    hour_n, hour_negative = _counts(chance, rate)
    n, negative = _counts(chance, np.repeat(rate[:, :, -1:] * traffic / 60, _MINUTES, axis=2))
    first_hour = minute.replace(minute=0) - timedelta(days=days)
    return Rollups(series, minute - (_MINUTES - 1) * MINUTE, n, negative, first_hour, hour_n, hour_negative)


def _counts(chance: np.random.Generator, rate: np.ndarray[Any, Any]) -> tuple[Counts, Counts]:
    """Messages and negatives at this `rate` [topics, streams, time], with the sums; [series, time]."""
    n = chance.poisson(rate)
    return _with_sums(n), _with_sums(chance.binomial(n, _SHARE))


def _with_sums(counts: np.ndarray[Any, Any]) -> Counts:
    both = np.concatenate((counts, counts.sum(axis=1, keepdims=True)), axis=1)
    every = np.concatenate((both.sum(axis=0, keepdims=True), both))
    return np.asarray(every.reshape(-1, counts.shape[-1]), dtype=np.int64)


def _time(rollups: Rollups, minute: datetime, settings: AlertsSettings) -> dict[str, float]:
    taken = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        evaluate(rollups, minute, minute + MINUTE, Book(), lambda spike: None, settings)
        taken.append((time.perf_counter() - start) * 1_000)
    return {"median_ms": statistics.median(taken), "lowest_ms": min(taken), "highest_ms": max(taken)}
