"""What the alerts themselves make of the generated series: the production evaluation over as many topics of one stream.

The same series as for the curve, each a topic, beside neutral messages three times as many. What stands behind a spike
is taken for granted: every negative has a text and a source of its own. A run over clean topics counts false alerts;
in one with rises, those are told whose topic fires, or joins what has fired, before they are over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from alerts.assess import Spike
from alerts.episodes import Book, Change
from alerts.evaluate import evaluate
from alerts.evidence import Confirmed, Evidence
from alerts.series import ALL, HOUR, MINUTE, STREAMS, Counts, Rollups
from alerts.series import Series as Watched
from alerts.settings import AlertsSettings
from alerts.spikes import Floats
from bench.engine.rounds import Watch
from bench.spikes.synthetic import START, Series, Traffic, generate

CASES = ((1e-5, 3.0), (1e-5, 5.0), (1e-5, 10.0), (1e-5, 20.0), (1e-3, 3.0), (1e-2, 3.0), (5e-2, 3.0))
"""Level of false discovery (that of the settings first) and how many times as many negatives there are."""
_NEUTRAL = 3.0
_BEGINS = datetime.fromtimestamp(START, UTC)
_BEFORE = 4 * 60  # minutes that windows look back on


def run(traffic: Traffic, watch: Watch) -> list[Mapping[str, Any]]:
    """The outcome of each of `CASES`."""
    random = np.random.default_rng(traffic.seed)
    neutral = np.stack([random.poisson(_NEUTRAL * generate(traffic, each).rate) for each in range(traffic.series)])
    false, found = dict[float, float](), list[Mapping[str, Any]]()
    for number, (level, rise) in enumerate(CASES):
        watch("alerts on generated topics", number, len(CASES))
        case = replace(traffic, rise=rise)
        series = [generate(case, each) for each in range(case.series)]
        if level not in false:
            clean = _alerts(np.stack([one.clean for one in series]), neutral, case, level)
            false[level] = sum(change.kind == "fired" for change in clean) / case.months * 100
        told = _alerts(np.stack([one.risen for one in series]), neutral, case, level)
        found.append(_outcome(told, series, case) | {"false_alarm_rate": level, "false_alerts": false[level]})
    watch("alerts on generated topics", len(CASES), len(CASES))
    return found


def _outcome(told: Sequence[Change], series: Sequence[Series], traffic: Traffic) -> dict[str, Any]:
    delays = []
    for number, one in enumerate(series):
        own = [(change.at - _BEGINS) // MINUTE for change in told if change.detail["window"]["topic"] == _name(number)]
        for begin in one.starts:
            after = [at - begin + 1 for at in own if begin <= at < begin + traffic.rise_minutes]
            delays.append(min(after, default=np.inf))
    middle = float(np.median(delays))
    return {
        "rise": traffic.rise,
        "median_delay_min": middle if np.isfinite(middle) else None,
        "told": float(np.isfinite(delays).mean()),
    }


def _alerts(negative: Floats, neutral: Counts, traffic: Traffic, level: float) -> list[Change]:
    """What fired and joined after the days of learning; counts are [topics, minutes]."""
    settings = AlertsSettings(apprise_urls=[], false_alarm_rate=level, history_days=traffic.learn_days)
    first = _BEGINS + timedelta(days=traffic.learn_days)
    rollups = _rollups(negative.astype(np.int64), neutral, traffic)
    changes = evaluate(rollups, first, first + timedelta(days=traffic.days), Book(), _granted, settings)
    return [change for change in changes if change.kind in ("fired", "joined")]


def _granted(spike: Spike) -> Confirmed:
    evidence = Evidence(spike.observed, spike.observed, spike.observed, topics={spike.series.topic: spike.observed})
    return Confirmed(spike, evidence, spike.p_value)


def _name(number: int) -> str:
    return f"topic{number:04d}"


def _rollups(negative: Counts, neutral: Counts, traffic: Traffic) -> Rollups:
    """All topics in the news, none in the comments, with the sums over streams and topics."""
    n, first = negative + neutral, traffic.learn_days * 1_440 - _BEFORE
    topics = [*(_name(number) for number in range(traffic.series)), ALL]
    return Rollups(
        tuple(Watched(topic, stream) for topic in topics for stream in (*STREAMS, ALL)),
        _BEGINS + first * MINUTE,
        _with_sums(n[:, first:]),
        _with_sums(negative[:, first:]),
        _BEGINS,
        _with_sums(_by_hour(n)),
        _with_sums(_by_hour(negative)),
    )


def _by_hour(counts: Counts) -> Counts:
    return np.asarray(counts.reshape(counts.shape[0], -1, HOUR // MINUTE).sum(axis=2), dtype=np.int64)


def _with_sums(counts: Counts) -> Counts:
    every = np.concatenate((counts, counts.sum(axis=0, keepdims=True)))
    streams = np.stack((every, np.zeros_like(every), every), axis=1)
    return streams.reshape(-1, counts.shape[1])
