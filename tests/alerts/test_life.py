"""The life of an alert against a real database, one behaviour at a time: what is told, to whom, what is written down.

A bank run fires at about twelve past ten and calms down at a quarter to two; every test lets some of it settle, runs a
round as the scheduler does, and looks into the outbox.
"""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, func, select

from alerts.byhand import acknowledge, resolve
from alerts.clockwork import wind
from alerts.errors import NotDone
from alerts.evaluate import tick
from alerts.queries import list_alerts
from alerts.rules import DEFAULT, Escalation, QuietHours, Rule, Scope
from alerts.series import HOUR, MINUTE
from alerts.settings import AlertsSettings
from alerts.silences import add_silence, lift_silence
from storage.tables import alert_events, notifications, scores
from tests.alerts.test_tick import END, RUN, bank_run, ordinary
from tests.alerts.traffic import document, read_to_the_end, store

pytestmark = pytest.mark.integration

WARNING = AlertsSettings(apprise_urls="json://127.0.0.1:9", critical_negative=1000)  # type: ignore[arg-type]
DESK = Rule(name="desk", channels=("console",), repeat_hours=1)
PAGER = "apprise:1:json"


def go(engine: Engine, settled: datetime, *rules: Rule, settings: AlertsSettings = WARNING) -> None:
    """One round when everything before `settled` is settled: evaluate, then do what the clock asks."""
    now = settled + 3 * MINUTE
    read_to_the_end(engine, settled + 2 * MINUTE, now)
    tick(engine, settings, now, rules=rules or (DESK,))
    wind(engine, settings, rules or (DESK,), now)


def minutes(engine: Engine, start: datetime, end: datetime, *rules: Rule) -> None:
    """A round every five minutes."""
    while start <= end:
        go(engine, start, *rules)
        start += 5 * MINUTE


def told(engine: Engine, channel: str = "console") -> list[str]:
    """The kinds of the events that a channel is told of, in order; in brackets where they are muted."""
    query = (
        select(alert_events.c.kind, notifications.c.state)
        .join_from(notifications, alert_events, notifications.c.event_id == alert_events.c.event_id)
        .where(notifications.c.channel == channel)
        .order_by(notifications.c.notification_id)
    )
    with engine.connect() as connection:
        return [f"({kind})" if state == "muted" else kind for kind, state in connection.execute(query)]


def reasons(engine: Engine) -> list[str]:
    query = select(notifications.c.reason).where(notifications.c.state == "muted").distinct()
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def audit(engine: Engine) -> list[tuple[str, str | None, str | None]]:
    query = select(alert_events.c.kind, alert_events.c.actor, alert_events.c.note).order_by(alert_events.c.event_id)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def the_alert(engine: Engine) -> dict[str, Any]:
    (alert,) = list_alerts(engine)
    return alert


def hush(engine: Engine, start: datetime, end: datetime, **scope: str) -> int:
    with engine.begin() as connection:
        made = add_silence(
            connection, **scope, starts_at=start, ends_at=end, author="ana", comment="drill", now=start  # type: ignore[arg-type]
        )  # fmt: skip
    return made.silence_id


def test_a_topic_that_joins_is_one_message_of_the_same_alert(database: Engine) -> None:
    """Group."""
    bank_run(database)
    store(database, [document(5000 + n, RUN + HOUR + n * MINUTE) for n in range(90)], topic="debt")
    minutes(database, RUN, RUN + 2 * HOUR, replace(DESK, repeat_hours=0))
    assert told(database) == ["fired", "joined"]
    assert the_alert(database)["topic"] == "financials"


def test_an_alert_of_a_topic_inhibits_all_topics_together_under_the_rules_after_it(database: Engine) -> None:
    """Inhibit."""
    bank_run(database)
    banks = Rule(name="banks", scope=Scope(topics=("financials",)))
    alone = Rule(name="alone", scope=Scope(topics=("*",)))
    go(database, RUN + HOUR, alone)
    assert the_alert(database)["topic"] == "*"
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alerts; DELETE FROM alert_cursor")
    minutes(database, RUN, END, banks, alone)
    assert the_alert(database)["rule"] == "banks"


def test_two_rules_never_judge_the_same_series(database: Engine) -> None:
    bank_run(database)
    store(database, [document(5000 + n, RUN + n * 2 * MINUTE) for n in range(90)], topic="debt")
    banks = Rule(name="banks", scope=Scope(topics=("financials",)))
    again = Rule(name="again", scope=Scope(topics=("financials", "debt")))
    go(database, RUN + HOUR, banks, again)
    assert sorted((alert["rule"], alert["topic"]) for alert in list_alerts(database)) == [
        ("again", "debt"), ("banks", "financials"),
    ]  # fmt: skip


def test_what_no_rule_watches_alerts_no_one(database: Engine) -> None:
    bank_run(database)
    go(database, RUN + HOUR, Rule(name="metals", scope=Scope(topics=("metals",))))
    assert list_alerts(database) == []


def test_an_alert_whose_rule_is_gone_goes_on_under_the_one_that_holds_it_or_ends(database: Engine) -> None:
    bank_run(database)
    go(database, RUN + HOUR, DESK)
    go(database, RUN + HOUR + 5 * MINUTE, replace(DESK, name="renamed"))
    assert (the_alert(database)["rule"], the_alert(database)["state"]) == ("renamed", "firing")
    assert told(database) == ["fired"]
    go(database, RUN + HOUR + 10 * MINUTE, Rule(name="metals", scope=Scope(topics=("metals",))))
    assert the_alert(database)["state"] == "resolved"
    assert audit(database)[-1] == ("resolved", None, "no rule watches it any more")


def test_a_silenced_alert_is_recorded_and_muted_and_told_when_the_silence_ends(database: Engine) -> None:
    """Silence."""
    bank_run(database)
    number = hush(database, RUN, RUN + HOUR, topic="financials")
    minutes(database, RUN, RUN + 50 * MINUTE)
    assert told(database) == ["(fired)"]
    assert reasons(database) == [f"silence {number} by ana until 2026-03-03 11:00 UTC: drill"]
    assert the_alert(database)["silence_id"] == number
    minutes(database, RUN + HOUR, RUN + HOUR + 10 * MINUTE)
    assert told(database) == ["(fired)", "released"]
    kinds = [kind for kind, *_ in audit(database)]
    assert [kind for kind in kinds if kind not in ("fired", "joined")] == ["silenced", "unsilenced", "released"]
    assert the_alert(database)["silence_id"] is None


def test_a_silence_that_is_lifted_lets_the_alert_through(database: Engine) -> None:
    bank_run(database)
    number = hush(database, RUN, END, topic="financials", stream="comment")
    go(database, RUN + HOUR)
    with database.begin() as connection:
        lift_silence(connection, number, author="bo", now=RUN + HOUR + 4 * MINUTE)
    go(database, RUN + HOUR + 5 * MINUTE)
    assert told(database) == ["(fired)", "released"]


def test_a_silence_that_outlasts_the_alert_leaves_no_message_at_all(database: Engine) -> None:
    bank_run(database)
    hush(database, RUN, END, entity="Merrowdale Bank")
    minutes(database, RUN, END + HOUR)
    assert told(database) == ["(fired)", "(resolved)"]


def test_what_has_calmed_down_is_not_told_again(database: Engine) -> None:
    bank_run(database)
    hush(database, RUN, RUN + 4 * HOUR, topic="financials")
    minutes(database, RUN, RUN + 265 * MINUTE)
    assert told(database) == ["(fired)"] and the_alert(database)["state"] == "firing"


def test_another_topics_silence_changes_nothing(database: Engine) -> None:
    bank_run(database)
    hush(database, RUN, END, topic="debt")
    go(database, RUN + HOUR)
    assert told(database) == ["fired"]


def test_an_alert_that_nobody_takes_on_is_told_again_with_its_present_figures(database: Engine) -> None:
    """Repeat."""
    bank_run(database)
    minutes(database, RUN, RUN + 150 * MINUTE)
    assert told(database) == ["fired", "repeated", "repeated"]
    again = [event for event in the_alert(database)["events"] if event["kind"] == "repeated"][-1]
    now, until = again["detail"]["now"], again["at"]
    with database.connect() as connection:
        at = scores.c.published_at
        window = (at >= until - 15 * MINUTE, at < until, scores.c.topic == "financials")
        seen = connection.execute(select(func.count()).select_from(scores).where(*window)).scalar_one()
    assert now == {"until": until.isoformat(), "window_minutes": 15, "messages": seen, "negatives": seen}
    (note,) = again["notifications"]
    assert f"Now: {seen} negative of {seen} messages in the 15 min up to" in note["body"]


def test_an_alert_that_nobody_takes_on_goes_to_the_second_route(database: Engine) -> None:
    """Escalate."""
    bank_run(database)
    rule = replace(DESK, repeat_hours=0, escalation=Escalation(after_minutes=30, channels=(PAGER,)))
    minutes(database, RUN, END, rule)
    assert told(database) == ["fired", "resolved"]
    assert told(database, PAGER) == ["escalated", "resolved"]


def test_what_somebody_has_taken_on_is_neither_repeated_nor_escalated(database: Engine) -> None:
    """Acknowledge."""
    bank_run(database)
    rule = replace(DESK, escalation=Escalation(after_minutes=30, channels=(PAGER,)))
    go(database, RUN + 20 * MINUTE, rule)
    alert_id = the_alert(database)["alert_id"]
    for name, changes in (("ana", True), ("ana", False), ("bo", False)):
        with database.begin() as connection:
            row, changed = acknowledge(connection, alert_id, by=name, note="calling them", now=RUN + 24 * MINUTE)
        assert (row["acknowledged_by"], row["state"], changed) == ("ana", "acknowledged", changes)
    minutes(database, RUN + 25 * MINUTE, END, rule)
    assert told(database) == ["fired", "resolved"]
    assert told(database, PAGER) == []
    assert [row for row in audit(database) if row[0] == "acknowledged"] == [("acknowledged", "ana", "calling them")]
    with database.begin() as connection, pytest.raises(NotDone, match=f"alert {alert_id} is resolved already, since"):
        acknowledge(connection, alert_id, by="bo", note=None, now=END)
    with database.begin() as connection, pytest.raises(NotDone, match="there is no alert 99"):
        acknowledge(connection, 99, by="bo", note=None, now=END)


def test_an_alert_ended_by_hand_stays_ended_through_the_cool_down(database: Engine) -> None:
    bank_run(database)
    go(database, RUN + HOUR)
    alert_id = the_alert(database)["alert_id"]
    for changes in (True, False):
        with database.begin() as connection:
            row, changed = resolve(connection, alert_id, by="ana", note="known", now=RUN + 65 * MINUTE)
        assert (row["state"], changed) == ("resolved", changes)
    minutes(database, RUN + HOUR, RUN + 2 * HOUR)
    assert the_alert(database)["resolved_at"] == RUN + HOUR
    assert audit(database)[-1] == ("resolved_by_hand", "ana", "known")
    assert told(database) == ["fired"]


NOON = QuietHours(zone="Asia/Shanghai", start="18:00", end="19:00")  # 10:00 to 11:00 UTC


def test_a_warning_waits_for_the_end_of_quiet_hours(database: Engine) -> None:
    """Quiet hours."""
    bank_run(database)
    rule = replace(DESK, quiet_hours=NOON)
    minutes(database, RUN, RUN + 50 * MINUTE, rule)
    assert told(database) == ["(fired)"]
    assert reasons(database) == ["quiet hours of rule desk until 2026-03-03 19:00 CST"]
    minutes(database, RUN + HOUR, RUN + 70 * MINUTE, rule)
    assert told(database) == ["(fired)", "released"]


def test_a_warning_that_is_over_before_quiet_hours_are_is_dropped(database: Engine) -> None:
    bank_run(database)
    minutes(database, RUN, END, replace(DESK, quiet_hours=replace(NOON, end="23:30")))
    assert told(database) == ["(fired)", "(resolved)"]


def test_what_becomes_critical_goes_through_quiet_hours(database: Engine) -> None:
    bank_run(database)
    rule = replace(DESK, quiet_hours=replace(NOON, end="23:30"), repeat_hours=0)
    for number in range(0, 400, 5):
        go(database, RUN + number * MINUTE, rule, settings=AlertsSettings())
    assert told(database) == ["(fired)", "worsened", "resolved"]


def test_an_alert_is_told_once_it_has_been_pending_long_enough(database: Engine) -> None:
    bank_run(database)
    rule = replace(DESK, pending_minutes=30)
    minutes(database, RUN, RUN + 40 * MINUTE, rule)
    assert told(database) == ["(fired)"]
    minutes(database, RUN + 45 * MINUTE, RUN + 55 * MINUTE, rule)
    assert told(database) == ["(fired)", "released"]


def test_a_short_alert_is_never_told_where_it_had_to_be_pending(database: Engine) -> None:
    ordinary(database)
    store(database, [document(2000 + n, RUN + n * MINUTE) for n in range(20)])
    minutes(database, RUN, RUN + 4 * HOUR, replace(DESK, pending_minutes=120))
    assert told(database) == ["(fired)", "(resolved)"]


def test_a_scheduler_that_was_away_tells_of_what_still_goes_on(database: Engine) -> None:
    bank_run(database)
    go(database, RUN)
    go(database, RUN + 160 * MINUTE)
    assert told(database) == ["(fired)", "released"]


def test_two_at_once_do_nothing_twice(database: Engine) -> None:
    bank_run(database)
    rule = replace(DESK, escalation=Escalation(after_minutes=30, channels=(PAGER,)))
    rule = replace(rule, repeat_hours=0.5)
    go(database, RUN + 20 * MINUTE, rule)
    now = RUN + HOUR
    ready = threading.Barrier(4)

    def at_once() -> None:
        ready.wait()
        wind(database, WARNING, (rule,), now)

    threads = [threading.Thread(target=at_once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert told(database) == ["fired", "repeated"]
    assert told(database, PAGER) == ["escalated"]


def test_the_default_rule_is_what_there_was_without_rules(database: Engine) -> None:
    bank_run(database)
    go(database, END, DEFAULT)
    assert told(database, PAGER) == told(database) == ["(fired)", "(resolved)"]
    assert timedelta(minutes=WARNING.max_age_minutes) < END - RUN
