"""Delivery: at least once, with pauses, and no channel in another's way."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, insert, select

from alerts.errors import ChannelFailed
from alerts.message import Message
from alerts.outbox import Delivered, deliver, pause
from alerts.settings import AlertsSettings
from storage.tables import alert_events, alerts, notifications
from tests.alerts.traffic import MONDAY

NOW = MONDAY


class Recorder:
    """Takes every message, or none."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken, self.got = broken, list[str]()

    def send(self, message: Message) -> None:
        if self.broken:
            raise ChannelFailed("no answer")
        self.got.append(message.title)


def enqueue(engine: Engine, *channels: str, count: int = 1, state: str = "pending") -> None:
    alert = {"topic": "*", "stream": "*", "state": "firing", "severity": "warning", "test": "share"}
    alert |= {"window_minutes": 15, "opened_at": NOW, "last_seen_at": NOW, "expected": 1, "observed": 9}
    alert |= {"messages": 9, "p_value": 0, "sources": 3, "contents": 9, "members": [], "reasons": {}, "created_at": NOW}
    with engine.begin() as connection:
        alert_id = connection.execute(insert(alerts).values(**alert).returning(alerts.c.alert_id)).scalar_one()
        for number in range(count):
            event = {"alert_id": alert_id, "at": NOW, "kind": "fired", "detail": {}, "recorded_at": NOW}
            query = insert(alert_events).values(**event).returning(alert_events.c.event_id)
            event_id = connection.execute(query).scalar_one()
            row = {"event_id": event_id, "state": state, "title": f"title {number}", "body": "body", "attempts": 0}
            row |= {"next_attempt_at": NOW, "created_at": NOW}
            connection.execute(insert(notifications), [{**row, "channel": channel} for channel in channels])


def rows(engine: Engine, channel: str) -> list[tuple[str, int, str | None]]:
    table = notifications.c
    query = select(table.state, table.attempts, table.last_error).where(table.channel == channel)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(table.notification_id))]


@pytest.mark.integration
def test_each_notification_is_sent_once_in_order(database: Engine) -> None:
    enqueue(database, "console", count=3)
    console = Recorder()
    assert deliver(database, {"console": console}, AlertsSettings(), NOW) == Delivered(3, 0)
    assert deliver(database, {"console": console}, AlertsSettings(), NOW) == Delivered(0, 0)
    assert console.got == ["title 0", "title 1", "title 2"]


@pytest.mark.integration
def test_muted_notifications_are_never_sent(database: Engine) -> None:
    enqueue(database, "console", state="muted")
    assert deliver(database, {"console": Recorder()}, AlertsSettings(), NOW) == Delivered(0, 0)


@pytest.mark.integration
def test_a_failing_channel_waits_and_does_not_hold_up_the_others(database: Engine) -> None:
    enqueue(database, "broken", "console", count=3)
    broken, console = Recorder(broken=True), Recorder()
    channels = {"broken": broken, "console": console}
    assert deliver(database, channels, AlertsSettings(), NOW) == Delivered(3, 1)
    assert rows(database, "broken") == [("pending", 1, "no answer"), ("pending", 0, None), ("pending", 0, None)]
    broken.broken = False
    assert deliver(database, channels, AlertsSettings(), NOW + pause(1)) == Delivered(3, 0)


@pytest.mark.integration
def test_after_so_many_attempts_it_has_failed(database: Engine) -> None:
    enqueue(database, "broken", "gone")
    settings = AlertsSettings(delivery_attempts=3)
    for day in range(5):
        deliver(database, {"broken": Recorder(broken=True)}, settings, NOW + timedelta(days=day))
    assert rows(database, "broken") == [("failed", 3, "no answer")]
    assert rows(database, "gone") == [("failed", 1, "the channel is no longer in the settings")]


@pytest.mark.integration
def test_a_row_that_another_deliverer_holds_is_left_to_it(database: Engine) -> None:
    enqueue(database, "console", count=2)
    console = Recorder()
    with database.begin() as other:
        other.execute(select(notifications).order_by(notifications.c.notification_id).limit(1).with_for_update())
        assert deliver(database, {"console": console}, AlertsSettings(), NOW) == Delivered(1, 0)
    assert console.got == ["title 1"]


def test_pauses_double_up_to_half_an_hour() -> None:
    assert [pause(attempts).total_seconds() for attempts in (1, 2, 3, 8, 9, 99)] == [10, 20, 40, 1280, 1800, 1800]
