"""What is held back, by silences, quiet hours, pending minutes or age, and told late or never; on a real database."""

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine

from alerts.rules import QuietHours
from alerts.series import HOUR, MINUTE
from alerts.settings import AlertsSettings
from alerts.silences import lift_silence
from tests.alerts.rounds import DESK, audit, go, hush, minutes, reasons, the_alert, told
from tests.alerts.test_tick import END, RUN, bank_run, ordinary
from tests.alerts.traffic import document, store

pytestmark = pytest.mark.integration


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
