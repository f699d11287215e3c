"""How soon a rise is told for how many false alerts, on generated counts: the trade-off curve, with peers beside it.

Counts by minute: 10 negatives an hour on average, busier by day and on working days, over-dispersed from hour to hour.
The clean series give false alerts (an hour with any row at a threshold is one), the same series with rises give delays.
Rises are six days apart: more often they are no longer rare, and whatever learns from the past takes them for usual.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from alerts.count_series import VolumeTest, calibrated, score
from alerts.spikes import Floats
from bench.engine.rounds import Watch
from bench.spikes.peers import river_detectors, z_scores

Numbers = npt.NDArray[np.int64]
Detector = Callable[["Series", Floats], Floats]

_MINUTES_A_DAY, _DAYS_APART = 1_440, 6
START = 1_767_571_200
"""Monday, 2026-01-05, in seconds since the epoch."""
_RATES = (1_000, 300, 100, 30, 10, 3, 1)
"""False alerts a month of 100 series that the curve is read at."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is generated; the rise multiplies the expected count and lasts two hours."""

    series: int = 20
    learn_days: int = 28
    days: int = 28
    an_hour: float = 10.0
    rise: float = 3.0
    rise_minutes: int = 120
    spread: float = 0.05
    """Squared coefficient of variation of an hour's rate."""
    seed: int = 8

    @property
    def months(self) -> float:
        """Of all series together, as far as they are judged."""
        return self.series * self.days / 30


@dataclass(frozen=True, slots=True)
class Series:
    """One generated series by minute: time, true rate, clean counts, counts with rises, and where those start."""

    seconds: Floats
    rate: Floats
    clean: Floats
    risen: Floats
    starts: Numbers


def generate(traffic: Traffic, number: int) -> Series:
    """The series of this number; the same every time."""
    random = np.random.default_rng((traffic.seed, number))
    minutes = np.arange((traffic.learn_days + traffic.days) * _MINUTES_A_DAY)
    hour = minutes / 60 % 24
    week = np.where(minutes // _MINUTES_A_DAY % 7 >= 5, 0.6, 1.16)
    rate = traffic.an_hour / 60 * (1 + 0.6 * np.sin(2 * np.pi * (hour - 8) / 24)) * week
    noise = random.gamma(1 / traffic.spread, traffic.spread, minutes.size // 60)
    true = rate * np.repeat(noise, 60)
    clean = random.poisson(true).astype(np.float64)
    starts = []
    for day in range(traffic.learn_days + 1, traffic.learn_days + traffic.days, _DAYS_APART):
        at = slice(day * _MINUTES_A_DAY, (day + 1) * _MINUTES_A_DAY - traffic.rise_minutes)
        near = np.argsort(np.abs(rate[at] - traffic.an_hour / 60), kind="stable")[:60]
        starts.append(at.start + int(random.choice(near)))
    risen = clean.copy()
    for start in starts:
        during = slice(start, start + traffic.rise_minutes)
        risen[during] += random.poisson((traffic.rise - 1) * true[during])
    seconds = np.asarray(minutes * 60.0 + START, dtype=np.float64)
    return Series(seconds, np.asarray(rate, dtype=np.float64), clean, risen, np.array(starts))


def run(traffic: Traffic, watch: Watch) -> dict[str, Any]:
    """The curve of each contender as a JSON document."""
    detectors = contenders(traffic)
    highs: dict[str, list[Floats]] = {name: [] for name in detectors}
    during: dict[str, list[Floats]] = {name: [] for name in detectors}
    first = traffic.learn_days * _MINUTES_A_DAY
    for number in range(traffic.series):
        watch("synthetic series", number, traffic.series)
        series = generate(traffic, number)
        for name, detector in detectors.items():
            highs[name].append(detector(series, series.clean)[first:].reshape(-1, 60).max(axis=1))
            scores = detector(series, series.risen)
            during[name] += [scores[start : start + traffic.rise_minutes] for start in series.starts]
    watch("synthetic series", traffic.series, traffic.series)
    curves = {name: curve(np.concatenate(highs[name]), np.stack(during[name]), traffic.months) for name in detectors}
    return {
        "series": traffic.series,
        "days": traffic.days,
        "months": traffic.months,
        "negatives_an_hour": traffic.an_hour,
        "rise": traffic.rise,
        "rises": len(during["newsquake"]),
        "curves": curves,
    }


def contenders(traffic: Traffic) -> dict[str, Detector]:
    """Each as a function of a series and its counts to one number a row; higher is more suspicious.

    `newsquake_surprise` is the score before its last step, novelty, which tells onsets of many rows at once from what
    was there before and has little to say of a rise that adds a count every few minutes.
    `cusum_known` is told the true rate by hour of the week and the rise: no detector that has to learn them is expected
    to be faster (Lorden 1971, doi:10.1214/aoms/1177693055).
    """
    found: dict[str, Detector] = {
        "newsquake": lambda series, counts: score(series.seconds, counts),
        "newsquake_surprise": lambda series, counts: calibrated(series.seconds, counts, VolumeTest()),
        "z_score_hour": lambda series, counts: z_scores(_hourly(counts), 7 * _MINUTES_A_DAY),
        "z_score_minute": lambda series, counts: z_scores(counts, 7 * _MINUTES_A_DAY),
        "ewma": lambda series, counts: z_scores(_ewma(counts, 30), 7 * _MINUTES_A_DAY),
        "cusum_known": lambda series, counts: _cusum(counts, series.rate, traffic.rise),
    }
    for name, detector in river_detectors().items():
        found[name] = lambda series, counts, detector=detector: detector(counts)  # type: ignore[misc]
    return found


def curve(highs: Floats, during: Floats, months: float) -> list[Mapping[str, Any]]:
    """Thresholds, each with false alerts a month of 100 series, and minutes until half of the rises are told.

    Args:
        highs: highest score of each clean hour, [hours].
        during: scores of the rises, [rises, minutes].
        months: of all clean series together; fewer than 100 allow none where one is allowed.
    """
    ordered, points = np.sort(highs)[::-1], list[Mapping[str, Any]]()
    for rate in _RATES:
        allowed = int(rate * months / 100)
        threshold = float(np.nextafter(ordered[min(allowed, ordered.size - 1)], np.inf))
        reported = during >= threshold
        told = reported.any(axis=1)
        delay = np.where(told, reported.argmax(axis=1) + 1.0, np.inf)
        middle = float(np.median(delay))
        points.append(
            {
                "false_alerts_allowed": rate,
                "false_alerts": float((highs >= threshold).sum() / months * 100),
                "threshold": threshold,
                "median_delay_min": middle if np.isfinite(middle) else None,
                "told": float(told.mean()),
            }
        )
    return points


def _hourly(counts: Floats) -> Floats:
    total = np.concatenate((np.zeros(60), np.cumsum(counts)))
    return np.asarray(total[60:] - total[:-60], dtype=np.float64)


def _ewma(counts: Floats, minutes: float) -> Floats:
    weight = 1 - 0.5 ** (1 / minutes)
    return np.asarray(lfilter([weight], [1, weight - 1], counts), dtype=np.float64)


def _cusum(counts: Floats, rate: Floats, rise: float) -> Floats:
    """Page's CUSUM of the Poisson log-likelihood ratio, [rows]."""
    steps = counts * np.log(rise) - (rise - 1) * rate
    total = np.cumsum(steps)
    return np.asarray(total - np.minimum(np.minimum.accumulate(total), 0.0), dtype=np.float64)
