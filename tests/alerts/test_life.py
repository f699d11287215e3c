"""The life of an alert against a real database, one behaviour at a time: who is told what, and what is written down."""

import threading
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, func, select

from alerts.byhand import acknowledge, resolve
from alerts.clockwork import wind
from alerts.errors import NotDone
from alerts.queries import list_alerts
from alerts.rules import DEFAULT, Escalation, Rule, Scope
from alerts.series import HOUR, MINUTE
from storage.tables import scores
from tests.alerts.rounds import DESK, PAGER, WARNING, audit, go, minutes, the_alert, told
from tests.alerts.test_tick import END, RUN, bank_run
from tests.alerts.traffic import document, store

pytestmark = pytest.mark.integration


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


def test_rules_judge_the_same_however_the_minutes_are_cut(database: Engine) -> None:
    bank_run(database)
    banks = Rule(name="banks", min_negative=20, scope=Scope(topics=("financials",)))
    rules = (banks, Rule(name="alone", scope=Scope(topics=("*",))))
    found = []
    for step in (8 * HOUR, 7 * MINUTE):
        settled = RUN
        while settled < END:
            settled = min(settled + step, END)
            go(database, settled, *rules)
        events = [event for alert in list_alerts(database) for event in alert["events"]]
        judged = ("fired", "joined", "worsened", "resolved")
        found.append(sorted((event["at"], event["kind"]) for event in events if event["kind"] in judged))
        with database.begin() as connection:
            connection.exec_driver_sql("DELETE FROM alerts; DELETE FROM alert_cursor")
    assert found[0] == found[1] and len(found[0]) >= 4


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
