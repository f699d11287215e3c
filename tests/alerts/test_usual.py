"""Usual sources and usual copies: what evidence is held against."""

from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Engine, delete, insert

from alerts.evidence import Evidence, Sample, confirm, weigh
from alerts.series import HOUR, MINUTE, Series
from alerts.settings import AlertsSettings
from alerts.store import read_negatives
from alerts.usual import Usual, genuine_part, references
from alerts.views import EVERYDAY
from storage.tables import scores, source_hour
from tests.alerts.test_evidence import sample
from tests.alerts.traffic import MONDAY, document, store

SETTINGS = AlertsSettings()


def test_a_source_counts_as_much_as_it_usually_writes() -> None:
    loud = [document(number, MONDAY, source="gazette") for number in range(12)]
    others = [document(100 + number, MONDAY, source="wire") for number in range(2)]
    assert weigh(sample(*loud, *others)).effective == 4
    assert weigh(sample(*loud, *others), Usual({"gazette": 0.85, "wire": 0.15})).effective == 13


def test_the_only_source_of_a_stream_counts_and_a_stranger_does_not() -> None:
    found = sample(*(document(number, MONDAY, source="forum") for number in range(30)))
    assert weigh(found, Usual({"forum": 1.0})).effective == 30
    assert weigh(found, Usual({"elsewhere": 1.0})).effective == 0


@pytest.mark.parametrize(("sources", "needed"), [({}, 3), ({"a": 1.0}, 1), ({"a": 0.5, "b": 0.5}, 2)])
def test_no_more_sources_are_asked_for_than_there_are(sources: dict[str, float], needed: int) -> None:
    assert Usual(sources).floor(3) == needed


def test_a_source_that_hardly_writes_is_none_to_wait_for() -> None:
    assert Usual({"a": 0.6, "b": 0.39, "c": 0.01}).floor(3) == 2


def test_usual_copies_are_not_taken_off_twice() -> None:
    from tests.alerts.test_evaluate import RUN
    from tests.alerts.traffic import Traffic, judge

    spikes = []
    traffic = Traffic.stationary(1, 4).add("financials", "comment", RUN, 120, n=1, negative=1)
    judge(traffic, RUN, RUN + 2 * HOUR, examine=spikes.append)
    spike = max(spikes, key=lambda found: found.observed)
    third = Evidence(spike.observed // 3, 4, spike.observed // 3)
    assert confirm(spike, third, SETTINGS) is None
    assert confirm(spike, third, SETTINGS, Usual(genuine=1 / 3)) is not None


def test_a_story_copied_more_than_usual_still_counts_once() -> None:
    copies = [
        document(number, MONDAY, words="the same story under every name", source=f"s{number}") for number in range(3)
    ]
    assert weigh(Sample(tuple(copies), 3), Usual(genuine=0.3)).effective <= 1


@pytest.mark.parametrize(
    ("contents", "seen", "least", "most"), [(0, 0, 1, 1), (300, 900, 0.3, 0.4), (0, 9000, 0.2, 0.2)]
)
def test_the_genuine_part(contents: int, seen: int, least: float, most: float) -> None:
    assert least <= genuine_part(contents, seen) <= most


@pytest.mark.parametrize("minutes", [15, 60, 1440, 4320])
def test_references_end_before_the_window_and_do_not_overlap(minutes: int) -> None:
    windows = references(MONDAY, minutes)
    assert all(end - start == minutes * MINUTE for start, end in windows)
    assert windows[0][1] <= MONDAY + HOUR - timedelta(days=1)
    assert all(later[0] >= earlier[1] for later, earlier in pairwise(windows))


def test_copies_are_counted_among_what_is_still_stored(database: Engine) -> None:
    store(database, [document(number, MONDAY + number * MINUTE, words="one story") for number in range(4)])
    store(database, [document(9, MONDAY + 9 * MINUTE)])
    with database.begin() as connection:
        span = (MONDAY, MONDAY + HOUR)
        found = read_negatives(connection, EVERYDAY, Series("financials", "comment"), *span)
        assert (found.distinct, found.stored) == (2, 5)
        connection.execute(delete(scores))
        assert EVERYDAY.count(connection, Series("financials", "comment"), *span) == (5, 5)
        assert read_negatives(connection, EVERYDAY, Series("financials", "comment"), *span).stored == 0


def test_what_is_usual_is_read_from_the_rollups(database: Engine) -> None:
    store(database, [document(number, MONDAY + number * MINUTE) for number in range(6)])
    counts = {"stream": "news", "negative": 0, "positive": 0, "score_sum": 0.0}
    rows = [{"bucket": MONDAY, "source": name, "n": n, "neutral": n, **counts} for name, n in (("a", 30), ("b", 10))]
    old = {"bucket": MONDAY - timedelta(days=30), "source": "old", "n": 99, "neutral": 99, **counts}
    with database.begin() as connection:
        connection.execute(insert(source_hour), [*rows, old])
        assert EVERYDAY.source_parts(connection, "news", MONDAY + HOUR) == {"a": 0.75, "b": 0.25}
        assert EVERYDAY.source_parts(connection, "comment", MONDAY) == {}
        assert EVERYDAY.count(connection, Series("financials", "comment"), MONDAY, MONDAY + 5 * MINUTE) == (5, 5)
        assert EVERYDAY.count(connection, Series("*", "*"), MONDAY, MONDAY + HOUR) == (6, 6)
