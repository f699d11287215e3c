"""The texts that a spike's own are held against, and the terms that come of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from alerts.earlier import read_earlier
from alerts.queries import list_alerts
from alerts.rules import Rule
from alerts.series import HOUR, MINUTE, Series
from alerts.views import EVERYDAY, Messages, Names
from tests.alerts.rounds import go
from tests.alerts.test_tick import RUN, ordinary
from tests.alerts.traffic import MONDAY, document, store

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
DEBT = Series("debt", "comment")


def filled(engine: Engine, *, own: int) -> None:
    """In each of the first six hours of two days so many texts about debt and as many about energy; and five copies."""
    for day in range(2):
        base = MONDAY + day * DAY
        times = [base + hour * HOUR + number * MINUTE for hour in range(6) for number in range(own)]
        debt = [document(1000 * day + n, at, words=f"bond {day} {n}") for n, at in enumerate(times)]
        debt = [replace(item, entities=("Corvane",)) for item in debt]
        copies = [document(5000 + 1000 * day + n, at, words="the same bond") for n, at in enumerate(times[:5])]
        store(engine, debt + copies, topic="debt", sentiment="positive")
        oil = [document(9000 + 1000 * day + n, at, words=f"oil {day} {n}") for n, at in enumerate(times)]
        store(engine, oil, topic="energy")


def test_a_series_is_held_against_its_own_earlier_texts_each_once(database: Engine) -> None:
    filled(database, own=6)
    with database.connect() as connection:
        found = read_earlier(connection, EVERYDAY, DEBT, MONDAY + 2 * DAY + 6 * HOUR)
        assert len(found) == len(set(found)) == 2 * 36 + 1
        assert all("bond" in text for text in found)
        assert read_earlier(connection, EVERYDAY, DEBT, MONDAY + 2 * DAY + 6 * HOUR) == found
        named = read_earlier(connection, Names(None), Series("*", "comment", "Corvane"), MONDAY + 2 * DAY + 6 * HOUR)
        assert len(named) == 72


def test_a_thin_series_is_held_against_its_stream(database: Engine) -> None:
    filled(database, own=2)
    hour = MONDAY + 2 * DAY + 6 * HOUR
    with database.connect() as connection:
        assert {text.split()[0] for text in read_earlier(connection, EVERYDAY, DEBT, hour)} == {"bond", "oil", "the"}
        stranger = read_earlier(connection, Names(None), Series("*", "comment", "Nobody"), hour)
        assert len(stranger) == 2 * 24 + 1
        assert read_earlier(connection, Messages(("zh",)), DEBT, hour) == []
        assert read_earlier(connection, EVERYDAY, Series("debt", "news"), hour) == []


def test_what_comes_with_the_spike_is_not_from_before(database: Engine) -> None:
    filled(database, own=6)
    with database.connect() as connection:
        assert read_earlier(connection, EVERYDAY, DEBT, MONDAY) == []
        assert len(read_earlier(connection, EVERYDAY, DEBT, MONDAY + DAY + 3 * HOUR)) == 2 * 18 + 1


@pytest.mark.parametrize(("language", "says"), [("en", "New in what they say: "), ("zh", "新出现的说法：")])
def test_the_message_says_what_is_new_in_the_words_of_the_spike(database: Engine, language: str, says: str) -> None:
    ordinary(database)
    other = [document(2000 + n, RUN + n * 2 * MINUTE) for n in range(60)]
    store(database, [replace(item, text=f"储户排队取款 {item.text}") for item in other])
    go(database, RUN + 2 * HOUR, Rule(name="desk", channels=("console",), language=language))  # type: ignore[arg-type]
    (alert,) = list_alerts(database)
    lines = alert["events"][0]["notifications"][0]["body"].splitlines()
    assert [line for line in lines if line.startswith(f"{says}储户排队取款")]
    assert alert["reasons"]["terms"][0] == "储户排队取款"
