"""What a slow burn is and what is none, from hourly counts alone."""

from datetime import timedelta

import numpy as np
import pytest

from alerts.series import ALL, MINUTE, Rollups, Series
from alerts.settings import AlertsSettings
from alerts.slow import Slow, look
from alerts.slow_law import trailing
from tests.alerts.traffic import MONDAY

SETTINGS = AlertsSettings()
DAYS = 28
TOPICS = ("energy", "markets")


class Hours:
    """Four weeks of hours of two topics in the news, 20 messages an hour and 4 of them negative, by a seed."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.n = random.poisson(20, (len(TOPICS), DAYS * 24))
        self.negative = random.binomial(self.n, 0.2)

    def look(self, *, told: slice = slice(0)) -> Slow:
        """Judge the windows that end with the last hour; alerts have told of the hours `told`."""
        series = tuple(Series(topic, stream) for topic in (*TOPICS, ALL) for stream in ("news", "comment", ALL))
        hour = MONDAY + timedelta(days=DAYS)
        n, negative = (_with_sums(part) for part in (self.n, self.negative))
        empty = np.zeros((len(series), 1), dtype=np.int64)
        rollups = Rollups(series, hour, empty, empty, MONDAY, n, negative)
        marked = np.zeros(n.shape, dtype=np.bool_)
        marked[:, told] = True
        return look(rollups, hour, np.zeros(n.shape, dtype=np.bool_), marked, SETTINGS)


def _with_sums(counts: "np.typing.NDArray[np.int64]") -> "np.typing.NDArray[np.int64]":
    whole = np.concatenate([counts, counts.sum(axis=0, keepdims=True)])
    return np.stack([whole, np.zeros_like(whole), whole], axis=1).reshape(-1, counts.shape[-1])


def test_sums_over_the_last_columns() -> None:
    assert trailing(np.array([[1.0, 2.0, 3.0, 4.0]]), 2).tolist() == [[1.0, 3.0, 5.0, 7.0]]


@pytest.mark.parametrize("seed", range(5))
def test_ordinary_hours_are_silent(seed: int) -> None:
    assert Hours(seed).look().fires == ()


@pytest.mark.parametrize("seed", range(5))
def test_a_drift_that_no_hour_stands_out_in_is_found_within_a_day(seed: int) -> None:
    hours = Hours(seed)
    hours.negative[1, -24:] = np.minimum(hours.negative[1, -24:] * 5 // 2, hours.n[1, -24:])
    fires = hours.look().fires
    assert fires and fires[0].series.topic == "markets"
    assert max(spike.window for spike in fires) >= 24 * 60
    assert all(spike.minute == MONDAY + timedelta(days=DAYS) - MINUTE for spike in fires)


def test_a_burn_is_high_until_its_last_hours_are_back_to_the_usual() -> None:
    hours = Hours()
    hours.negative[1, -24:] = np.minimum(hours.negative[1, -24:] * 5 // 2, hours.n[1, -24:])
    assert Series("markets", "news") in hours.look().high
    hours.negative[1, -2:] = 3
    assert hours.look().high == frozenset()


def test_what_an_alert_has_told_of_is_not_told_again() -> None:
    hours = Hours()
    hours.negative[1, -24:] *= 2
    assert hours.look().fires
    assert hours.look(told=slice(-30, -4)).fires == ()


def test_a_rise_of_all_traffic_is_no_burn() -> None:
    hours = Hours()
    hours.n[:, -24:] *= 3
    hours.negative[:, -24:] *= 3
    assert hours.look().fires == ()


def test_when_a_wire_is_missing_the_mix_of_what_is_left_alerts_no_one() -> None:
    hours = Hours()
    hours.n[:, -24:] = np.maximum(hours.negative[:, -24:], hours.n[:, -24:] // 4)
    assert hours.look().fires == ()


def test_a_wire_that_was_missing_for_two_days_makes_no_spike_on_its_return() -> None:
    hours = Hours()
    gap = slice(-72, -24)
    hours.n[:, gap] //= 4
    hours.negative[:, gap] //= 4
    assert hours.look().fires == ()


def test_until_two_days_are_known_no_hours_are_judged() -> None:
    hours = Hours()
    hours.negative[1, -24:] = hours.n[1, -24:]
    for known, silent in ((60, False), (40, True)):
        hours.n[:, : -24 - known] = hours.negative[:, : -24 - known] = 0
        assert (hours.look().fires == ()) == silent
