"""Evaluation against a real database: cursor, episodes, events, outbox rows, and what makes no alert."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update

from alerts.backtest import backtest
from alerts.evaluate import Summary, tick
from alerts.queries import list_alerts, open_alerts
from alerts.series import HOUR, MINUTE
from alerts.settings import AlertsSettings
from storage.tables import alert_cursor, alert_events, alerts, notifications
from tests.alerts.traffic import MONDAY, document, read_to_the_end, store

pytestmark = pytest.mark.integration

RUN = MONDAY + timedelta(hours=34)
END = RUN + 8 * HOUR


def ordinary(engine: Engine) -> None:
    """Two days: ten messages an hour without news, one bad one every other hour."""
    calm = [document(number, MONDAY + number * 6 * MINUTE) for number in range(420)]
    store(engine, calm, topic="markets", sentiment="positive")
    store(engine, [document(1000 + number, MONDAY + number * 2 * HOUR) for number in range(20)], topic="financials")


def bank_run(engine: Engine) -> None:
    ordinary(engine)
    store(engine, [document(2000 + number, RUN + number * 2 * MINUTE) for number in range(90)])


def evaluate(engine: Engine, *, now: datetime | None = None, settled: datetime = END, **settings: Any) -> Summary:
    """Tick when everything before `settled` is settled."""
    clock = now or settled + 3 * MINUTE
    read_to_the_end(engine, settled + 2 * MINUTE, clock)
    return tick(engine, AlertsSettings(**settings), clock)


def story(engine: Engine) -> list[dict[str, Any]]:
    """All alerts without the wall clock and the numbers that a database gives."""
    found = list_alerts(engine)
    for alert in found:
        for column in ("created_at", "told_at", "last_told_at"):
            del alert[column]
        alert["events"] = [(event["at"], event["kind"], event["detail"]) for event in alert["events"]]
    return found


def test_a_bank_run_is_recorded_with_its_reasons_and_messages(database: Engine) -> None:
    bank_run(database)
    evaluate(database, apprise_urls="json://127.0.0.1:9")
    (alert,) = list_alerts(database)
    assert (alert["topic"], alert["state"], alert["sources"]) == ("financials", "resolved", 4)
    assert RUN < alert["opened_at"] < RUN + HOUR
    assert alert["expected"] < 3 < 8 <= alert["observed"]
    assert len(alert["reasons"]["worst"]) == 3
    assert alert["events"][0]["kind"] == "fired"
    assert [row["channel"] for row in alert["events"][0]["notifications"]] == ["console", "apprise:1:json"]
    assert open_alerts(database) == []


def test_nothing_is_evaluated_twice(database: Engine) -> None:
    bank_run(database)
    first = evaluate(database)
    assert first.changes > 0
    assert first.next_minute == END
    assert evaluate(database) == Summary(0, END, 0)
    assert len(list_alerts(database)) == 1


def test_many_small_ticks_are_the_same_as_one(database: Engine) -> None:
    bank_run(database)
    evaluate(database, settled=RUN - HOUR)
    for minutes in range(0, 300, 5):
        evaluate(database, settled=RUN + minutes * MINUTE)
    evaluate(database)
    small = story(database)
    with database.begin() as connection:
        connection.execute(alerts.delete())
        connection.execute(alert_cursor.delete())
    evaluate(database)
    once = story(database)
    for alert in (*small, *once):
        del alert["alert_id"]
    assert small == once


def test_evaluation_starts_at_the_earliest_rollup_and_jumps_over_empty_years(database: Engine) -> None:
    store(database, [document(1, datetime.fromisoformat("1971-05-01T12:00:00+00:00"))])
    bank_run(database)
    assert evaluate(database, chunk_minutes=600).next_minute == END
    assert len(list_alerts(database)) == 1


def test_nothing_settled_is_nothing_done(database: Engine) -> None:
    assert tick(database, AlertsSettings(), END) == Summary(0, None, 0)
    bank_run(database)
    assert tick(database, AlertsSettings(), END) == Summary(0, None, 0)


def test_history_is_recorded_but_muted_unless_it_is_a_replay(database: Engine) -> None:
    bank_run(database)
    evaluate(database, now=END + timedelta(days=30))
    with database.begin() as connection:
        assert set(connection.execute(select(notifications.c.state)).scalars()) == {"muted"}
        connection.execute(alerts.delete())
        connection.execute(alert_cursor.delete())
    evaluate(database, now=END + timedelta(days=30), replay=True)
    with database.connect() as connection:
        assert set(connection.execute(select(notifications.c.state)).scalars()) == {"pending"}


def test_messages_before_the_cursor_open_nothing(database: Engine) -> None:
    ordinary(database)
    evaluate(database)
    late = [document(2000 + number, RUN + number * 2 * MINUTE) for number in range(90)]
    store(database, late, received_at=END)
    evaluate(database, settled=END + 4 * HOUR)
    assert list_alerts(database) == []


def test_an_acknowledged_alert_stays_so_until_it_is_resolved(database: Engine) -> None:
    bank_run(database)
    evaluate(database, settled=RUN + HOUR)
    with database.begin() as connection:
        connection.execute(update(alerts).values(state="acknowledged"))
    evaluate(database, settled=RUN + 2 * HOUR)
    assert [alert["state"] for alert in list_alerts(database, state="open")] == ["acknowledged"]
    evaluate(database)
    assert [alert["state"] for alert in list_alerts(database, limit=1)] == ["resolved"]


@pytest.mark.parametrize("kind", ["copies", "account", "syndicated", "one source"])
def test_what_is_not_many_voices_alerts_no_one(database: Engine, kind: str) -> None:
    ordinary(database)
    times = [RUN + number * MINUTE for number in range(60)]
    story = "Corvane Motors is finished, bankruptcy is coming, sell everything before it goes to zero"
    made = {
        "copies": lambda n, at: document(n, at, words=story, author=f"a{n}"),
        "account": lambda n, at: document(n, at, source="forum", author="shortking"),
        "syndicated": lambda n, at: document(n, at, words=f"WIRE {n % 6} - {story}", source=f"wire-{n % 6}"),
        "one source": lambda n, at: document(n, at, source="forum"),
    }[kind]
    store(database, [made(3000 + number, at) for number, at in enumerate(times)])
    evaluate(database)
    assert list_alerts(database) == []


def test_a_backtest_tells_the_same_and_leaves_no_trace(database: Engine) -> None:
    bank_run(database)
    changes = backtest(database, AlertsSettings(), MONDAY, END)
    with database.connect() as connection:
        assert connection.execute(select(func.count()).select_from(alerts)).scalar_one() == 0
    evaluate(database)
    with database.connect() as connection:
        rows = connection.execute(select(alert_events.c.kind, alert_events.c.at, alert_events.c.detail)).all()
    assert [tuple(row) for row in rows] == [(change.kind, change.at, change.detail) for change in changes]


def test_unknown_states_are_refused(database: Engine) -> None:
    with pytest.raises(ValueError, match="unknown state 'shut': use one of open"):
        list_alerts(database, state="shut")
