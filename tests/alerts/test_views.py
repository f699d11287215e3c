"""What each view counts, held against the stored messages themselves."""

from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine

from alerts import store as reading
from alerts.series import ALL, HOUR, MINUTE, Count, Part, Series, assemble
from alerts.views import Messages, Names, Sources, View, view_of
from tests.alerts.traffic import MONDAY, document, store

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
NAMES = ("Merrowdale Bank", "Corvane", "*")
SOURCES = ("rss:ft_x", "rss:ftyx", "forum", "100%")


def mixed(engine: Engine) -> None:
    """Two hours: two topics, streams, languages, four sources; a third of the messages name two names, a third none."""
    for part, (topic, sentiment, lang) in enumerate(
        [("debt", "negative", "zh"), ("debt", "positive", "en"), ("energy", "negative", "en")]
    ):
        made = [
            document(
                100 * part + number,
                MONDAY + number * 2 * MINUTE,
                source=SOURCES[number % 4],
                entities=NAMES[: number % 3],
                stream=("news", "comment")[number % 2],
            )
            for number in range(60)
        ]
        store(engine, made, topic=topic, sentiment=sentiment, lang=lang)


def sums(counts: list[Count]) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for count in counts:
        found[count.name, count.stream, "n"] += count.n
        found[count.name, count.stream, "negative"] += count.negative
    return found


VIEWS = [
    Messages(),
    Messages(("zh",)),
    Sources(("rss:*",)),
    Sources(("rss:ft_x", "100%")),
    Names(None),
    Names(("Corvane",)),
]


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_minutes_hours_counts_and_messages_agree(database: Engine, view: View) -> None:
    mixed(database)
    start, end = MONDAY, MONDAY + 2 * HOUR
    with database.connect() as connection:
        minutes, hours = (read(connection, start, end) for read in (view.minutes, view.hours))
        assert sums(minutes) == sums(hours)
        rollups = assemble(minutes, hours, first_minute=start, last_minute=end - MINUTE, days=1, of_names=view.of_names)
        for row, series in enumerate(rollups.series):
            seen = int(rollups.n[row].sum()), int(rollups.negative[row].sum())
            if not series.whole or not view.of_names:
                assert view.count(connection, series, start, end) == seen, series
                assert view.count(connection, series, start, end - MINUTE) == (
                    int(rollups.n[row, :-1].sum()),
                    int(rollups.negative[row, :-1].sum()),
                )
                assert reading.read_negatives(connection, view, series, start, end).distinct == seen[1], series


def test_each_view_holds_what_it_says(database: Engine) -> None:
    mixed(database)
    span = MONDAY, MONDAY + 2 * HOUR
    with database.connect() as connection:
        everything = Messages().count(connection, Series(ALL, ALL), *span)
        assert everything == (180, 120)
        assert Messages(("zh",)).count(connection, Series(ALL, ALL), *span) == (60, 60)
        assert Messages(("zh",)).count(connection, Series("debt", "news"), *span) == (30, 30)
        assert Sources(("rss:ft_x",)).count(connection, Series(ALL, ALL), *span) == (45, 30)
        assert Sources(("rss:ft?x", "forum")).count(connection, Series(ALL, ALL), *span) == (135, 90)
        assert Names(None).count(connection, Series(ALL, "news", "Corvane"), *span) == (30, 20)
        together = [count for count in Names(None).minutes(connection, *span) if count.name == ALL]
        assert (sum(count.n for count in together), sum(count.negative for count in together)) == everything


def test_only_names_that_could_matter_are_read_and_all_of_them_are_counted_as_tests(database: Engine) -> None:
    mixed(database)
    store(database, [document(900, MONDAY + 3 * HOUR, entities=("Oncet",))])
    every = Names(None)
    with database.connect() as connection:
        span = MONDAY, MONDAY + 4 * HOUR
        assert sorted(every.names(connection, *span, 2, MONDAY)) == ["Corvane", "Merrowdale Bank"]
        assert every.names(connection, *span, 2, MONDAY + 2 * HOUR) == []
        assert every.names(connection, *span, 1, MONDAY + 3 * HOUR) == ["Oncet"]
        known = every.known(connection)
        assert known is not None and len(known) == 3
        assert Names(("Oncet",)).names(connection, *span, 9, MONDAY) == ("Oncet",)
    rollups = assemble([], [], first_minute=MONDAY, last_minute=MONDAY, days=1, of_names=True, known=known)
    tests = [int(rollups.tests(MONDAY + hours * HOUR, np.array([0]))[0]) for hours in (1, 3, 4)]
    assert tests == [6, 6, 9]


def test_a_name_that_is_an_asterisk_is_nobodys_sum(database: Engine) -> None:
    mixed(database)
    store(database, [document(900 + n, MONDAY + n * MINUTE, entities=("*",)) for n in range(9)])
    with database.connect() as connection:
        assert sum(count.n for count in Names(None).hours(connection, MONDAY, MONDAY + HOUR) if count.name == ALL) == 99
        assert ALL not in Names(None).names(connection, MONDAY, MONDAY + HOUR, 2, MONDAY)


@pytest.mark.parametrize(
    ("view", "stream", "expected"),
    [
        (Messages(), "comment", {"rss:ftyx": 0.5, "100%": 0.5}),
        (Names(None), "news", {"rss:ft_x": 0.5, "forum": 0.5}),
        (Sources(("rss:*",)), "*", {"rss:ft_x": 0.5, "rss:ftyx": 0.5}),
        (Messages(("zh",)), "news", {"rss:ft_x": 0.5, "forum": 0.5}),
        (Messages(("fr",)), "news", {}),
    ],
)
def test_usual_sources_are_those_of_the_messages_that_count(
    database: Engine, view: View, stream: str, expected: dict[str, float]
) -> None:
    mixed(database)
    hour: datetime = MONDAY + 2 * HOUR
    with database.connect() as connection:
        assert view.source_parts(connection, stream, hour) == expected
        assert view.source_parts(connection, stream, hour + 9 * DAY) == {}


def test_a_rules_scope_names_its_view() -> None:
    assert view_of() == Messages()
    assert view_of(Part(languages=("zh",))) == Messages(("zh",))
    assert view_of(Part(sources=("rss:*",))) == Sources(("rss:*",))
    assert view_of(entities=("Corvane", "*")) == Names(None)
    assert view_of(entities=("Corvane",)) == Names(("Corvane",))
