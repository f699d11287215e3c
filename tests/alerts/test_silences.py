"""What a silence covers, and what it lets through."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, insert

from alerts.errors import InvalidSilence, NotDone
from alerts.series import Series
from alerts.silences import Silence, Subject, add_silence, covering, lift_silence, read_silences, standing_out
from alerts.standings import read_standings
from storage.tables import alerts
from tests.alerts.traffic import MONDAY

HOUR = timedelta(hours=1)
DEBT = Series("debt", "news")
RUN = Series("financials", "comment")


def silence(number: int = 1, hours: float = 2, **scope: str) -> Silence:
    fields = {"topic": None, "stream": None, "entity": None, "source_pattern": None, **scope}
    return Silence(number, **fields, starts_at=MONDAY, ends_at=MONDAY + hours * HOUR, author="ana", comment="")  # type: ignore[arg-type]


def about(*series: Series) -> Subject:
    return Subject(series, {"Merrowdale Bank": 6, "Corvane": 3}, {"rss:a": 4, "rss:b": 3, "forum": 3}, 10)


def covered(found: list[Silence], subject: Subject, hours: float = 1) -> int | None:
    one = covering(found, subject, MONDAY + hours * HOUR)
    return one and one.silence_id


def test_a_silence_holds_from_its_start_up_to_its_end() -> None:
    assert [covered([silence()], about(RUN), hours) for hours in (-0.1, 0, 1.9, 2)] == [None, 1, 1, None]


def test_a_topic_that_is_not_silenced_shows() -> None:
    assert covered([silence(topic="financials")], about(RUN)) == 1
    assert covered([silence(topic="financials")], about(RUN, DEBT)) is None
    assert covered([silence(1, 3, topic="financials"), silence(2, 2, topic="debt")], about(RUN, DEBT)) == 2


def test_sums_follow_what_they_are_made_of() -> None:
    whole = (Series("financials", "*"), Series("*", "comment"), Series("*", "*"), RUN)
    assert standing_out(whole) == [RUN]
    assert covered([silence(topic="financials", stream="comment")], about(*whole)) == 1
    assert covered([silence(topic="financials")], about(Series("*", "*"))) is None
    assert covered([silence(stream="news")], about(Series("financials", "*"))) is None


def test_an_entity_is_silenced_where_most_of_what_counts_names_it() -> None:
    assert covered([silence(entity="merrowdale bank")], about(RUN)) == 1
    assert covered([silence(entity="Corvane")], about(RUN)) is None


def test_sources_are_silenced_by_pattern_where_most_of_what_counts_is_theirs() -> None:
    assert covered([silence(source_pattern="rss:*")], about(RUN)) == 1
    assert covered([silence(source_pattern="for?m")], about(RUN)) is None


@pytest.mark.integration
def test_of_many_texts_the_sample_is_what_entities_are_held_against(database: Engine) -> None:
    row = {"topic": "financials", "stream": "comment", "state": "firing", "severity": "warning", "test": "volume"}
    row |= {"window_minutes": 60, "opened_at": MONDAY, "last_seen_at": MONDAY, "expected": 1, "observed": 1000}
    row |= {"messages": 1000, "p_value": 0, "sources": 4, "contents": 1000, "members": []}
    sampled = {"entities": {"Corvane": 300}, "sources": {"forum": 300}, "topics": {"financials": 300}}
    with database.begin() as connection:
        connection.execute(insert(alerts).values(**row, reasons=sampled))
        [standing] = read_standings(connection)
    assert covered([silence(entity="Corvane")], standing.subject) == 1
    assert covered([silence(source_pattern="forum")], standing.subject) == 1
    assert covered([silence(entity="Merrowdale Bank")], standing.subject) is None


@pytest.mark.integration
def test_silences_are_kept_lifted_once_and_never_deleted(database: Engine) -> None:
    scope = {"topic": "debt", "author": "ana", "comment": "auction day", "now": MONDAY}
    with database.begin() as connection:
        made = add_silence(connection, starts_at=MONDAY, ends_at=MONDAY + HOUR, **scope)  # type: ignore[arg-type]
        assert read_silences(connection, MONDAY) == [made]
        assert read_silences(connection, MONDAY + HOUR) == []
        lifted, changed = lift_silence(connection, made.silence_id, author="bo", now=MONDAY + HOUR / 2)
        assert changed and lifted.ends_at == MONDAY + HOUR / 2
        assert lift_silence(connection, made.silence_id, author="bo", now=MONDAY + HOUR / 2) == (lifted, False)
        assert read_silences(connection, MONDAY + HOUR / 2) == []
        assert read_silences(connection, MONDAY + HOUR / 2, ended=True) == [lifted]
        with pytest.raises(NotDone, match="there is no silence 99"):
            lift_silence(connection, 99, author="bo", now=MONDAY)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ends_at": MONDAY}, "over before it begins"),
        ({"stream": "tweets"}, "no stream 'tweets': use one of news, comment"),
        ({"author": " "}, "needs an author"),
        ({"topic": ""}, "the topic is empty"),
    ],
)
def test_a_silence_that_means_nothing_is_refused(database: Engine, change: dict[str, object], says: str) -> None:
    given = {"starts_at": MONDAY, "ends_at": MONDAY + HOUR, "author": "ana", "comment": "", "now": MONDAY, **change}
    with pytest.raises(InvalidSilence, match=says), database.begin() as connection:
        add_silence(connection, **given)  # type: ignore[arg-type]
