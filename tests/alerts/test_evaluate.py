"""What fires and what does not, from counts alone: traffic in, episodes out."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.episodes import Change
from alerts.series import HOUR
from tests.alerts.traffic import MONDAY, SETTINGS, Traffic, judge

THURSDAY = MONDAY + timedelta(days=3)
RUN = THURSDAY + timedelta(hours=10)


def fired(changes: list[Change]) -> list[Change]:
    return [change for change in changes if change.kind == "fired"]


def told(changes: list[Change]) -> list[tuple[object, ...]]:
    """Everything about some changes that must not depend on how minutes were grouped."""
    return [(change.kind, change.at, change.notify, change.detail) for change in changes]


def test_a_bank_run_is_one_episode_led_by_its_topic() -> None:
    traffic = Traffic.stationary(1, 4).add("financials", "comment", RUN, 360, n=1, negative=1)
    traffic.add("financials", "news", RUN + HOUR, 200, n=1, negative=1)
    changes = judge(traffic, THURSDAY, THURSDAY + 24 * HOUR)
    assert [change.kind for change in changes if change.kind != "joined"] == ["fired", "worsened", "resolved"]
    episode = changes[0].episode
    assert episode.topic == "financials"
    assert {member.series.stream for member in episode.members} == {"news", "comment", "*"}
    assert RUN < episode.opened_at < RUN + HOUR
    assert episode.resolved_at is not None and RUN + 6 * HOUR < episode.resolved_at < RUN + 9 * HOUR


@pytest.mark.parametrize("hourly", [12.0, 120.0])
def test_ordinary_traffic_alerts_less_often_than_the_settings_allow(hourly: float) -> None:
    months, alerts = 0.0, 0
    for seed in range(3):
        traffic = Traffic.stationary(seed, 14, hourly=hourly)
        alerts += len(fired(judge(traffic, MONDAY + HOUR, MONDAY + 14 * 24 * HOUR)))
        months += 14 / 30
    assert alerts <= months * SETTINGS.slow_alarms_per_month


@pytest.mark.parametrize("factor", [3.0, 8.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_rise_of_all_traffic_at_the_usual_share_is_silent(seed: int, factor: float) -> None:
    traffic = Traffic.stationary(seed, 4, surge=dict.fromkeys(range(3 * 24 + 10, 3 * 24 + 14), factor))
    assert judge(traffic, THURSDAY, THURSDAY + 24 * HOUR) == []


def test_a_burst_of_good_news_is_silent() -> None:
    traffic = Traffic.stationary(4, 4).add("financials", "news", RUN, 180, n=2, negative=0)
    traffic.add("financials", "comment", RUN, 10, n=1, negative=1)
    assert judge(traffic, THURSDAY, THURSDAY + 24 * HOUR) == []


def test_volume_alone_does_not_fire_at_start_up_but_share_does() -> None:
    busy = Traffic.stationary(5, 1, hourly=2000.0)
    assert judge(busy, MONDAY + HOUR, MONDAY + 5 * HOUR) == []
    run = Traffic.stationary(5, 1).add("financials", "comment", MONDAY + 2 * HOUR, 120, n=1, negative=1)
    changes = judge(run, MONDAY + HOUR, MONDAY + 5 * HOUR)
    assert changes[0].detail["window"]["test"] == "share"


def test_spikes_without_evidence_open_nothing() -> None:
    traffic = Traffic.stationary(1, 4).add("financials", "comment", RUN, 360, n=1, negative=1)
    assert judge(traffic, THURSDAY, THURSDAY + 24 * HOUR, examine=lambda spike: None) == []


def test_a_long_run_does_not_become_its_own_baseline() -> None:
    traffic = Traffic.stationary(6, 5).add("financials", "comment", RUN, 18 * 60, n=1, negative=1)
    changes = judge(traffic, THURSDAY, THURSDAY + 48 * HOUR)
    assert len(fired(changes)) == 1
    assert changes[0].episode.last_seen_at >= RUN + 17 * HOUR


def test_a_run_that_dips_for_half_an_hour_is_the_same_episode() -> None:
    traffic = Traffic.stationary(7, 4)
    for part in range(4):
        traffic.add("financials", "comment", RUN + part * timedelta(minutes=90), 60, n=1, negative=1)
    assert len(fired(judge(traffic, THURSDAY, THURSDAY + 24 * HOUR))) == 1


def test_last_weeks_outbreak_does_not_hide_the_next_one() -> None:
    traffic = Traffic.stationary(8, 11).add("financials", "comment", RUN, 240, n=1, negative=1)
    again = RUN + timedelta(days=7)
    traffic.add("financials", "comment", again, 240, n=1, negative=1)
    changes = judge(traffic, THURSDAY, THURSDAY + timedelta(days=8))
    assert [change.at.date() for change in fired(changes)] == [RUN.date(), again.date()]


def test_another_topics_crash_joins_and_is_worth_a_message() -> None:
    traffic = Traffic.stationary(9, 4).add("financials", "comment", RUN, 240, n=1, negative=1)
    traffic.add("metals", "news", RUN + 2 * HOUR, 120, n=1, negative=1)
    changes = judge(traffic, THURSDAY, THURSDAY + 24 * HOUR)
    assert len(fired(changes)) == 1
    joined = [change.detail["window"]["topic"] for change in changes if change.kind == "joined" and change.notify]
    assert joined == ["metals"]


def test_later_minutes_change_nothing_about_earlier_ones() -> None:
    traffic = Traffic.stationary(1, 4).add("financials", "comment", RUN, 120, n=1, negative=1)
    before = judge(traffic, THURSDAY, RUN + HOUR)
    traffic.n[..., 3 * 1440 + 660 :] += 7
    traffic.negative[..., 3 * 1440 + 660 :] += 5
    assert told(judge(traffic, THURSDAY, RUN + HOUR)) == told(before)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, 14 * 60), max_size=40), seed=st.integers(0, 3))
def test_how_minutes_are_grouped_changes_nothing(cuts: list[int], seed: int) -> None:
    traffic = Traffic.stationary(seed, 4).add("financials", "comment", RUN, 150, n=1, negative=1)
    traffic.add("metals", "news", RUN + HOUR, 40, n=1, negative=1)
    start, end = RUN - 2 * HOUR, RUN + 12 * HOUR
    edges: list[datetime] = [start + timedelta(minutes=cut) for cut in cuts]
    assert told(judge(traffic, start, end, cuts=edges)) == told(judge(traffic, start, end))


def test_minute_by_minute_is_the_same_as_all_at_once() -> None:
    traffic = Traffic.stationary(2, 4).add("financials", "comment", RUN, 90, n=1, negative=1)
    start, end = RUN - HOUR, RUN + 6 * HOUR
    edges = [start + timedelta(minutes=minute) for minute in range(7 * 60)]
    assert told(judge(traffic, start, end, cuts=edges)) == told(judge(traffic, start, end))
