"""Delivery: at least once, with pauses, and no channel in another's way."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import OperationalError

from alerts.channels.webhook import Webhook
from alerts.errors import ChannelFailed
from alerts.message import Message
from alerts.outbox import Delivered, deliver, pause
from alerts.settings import AlertsSettings
from storage.settings import StorageSettings
from storage.tables import alert_events, alerts, notifications
from tests.alerts.receivers import receiving
from tests.alerts.traffic import MONDAY

NOW = MONDAY


class Recorder:
    """Takes every message, or none."""

    takes_pictures = False

    def __init__(self, *, broken: bool = False, failure: ChannelFailed | None = None) -> None:
        self.broken, self.got, self.keys = broken, list[str](), list[str]()
        self.failure = failure or ChannelFailed("no answer")

    def send(self, message: Message) -> None:
        self.keys.append(message.key)
        if self.broken:
            raise self.failure
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
    enqueue(database, "console")
    console = Recorder()
    with database.begin() as other:
        other.execute(select(notifications).order_by(notifications.c.notification_id).limit(1).with_for_update())
        assert deliver(database, {"console": console}, AlertsSettings(), NOW) == Delivered(1, 0)
    assert console.got == ["title 0"]  # of the other alert: nothing overtakes what is told of the same one


@pytest.mark.integration
def test_a_refusal_is_final_and_does_not_hold_up_the_channel(database: Engine) -> None:
    enqueue(database, "picky", count=2)
    picky = Recorder(broken=True, failure=ChannelFailed("refused with 422", final=True))
    assert deliver(database, {"picky": picky}, AlertsSettings(), NOW) == Delivered(0, 2)
    assert rows(database, "picky") == [("failed", 1, "refused with 422")] * 2


@pytest.mark.integration
def test_a_receiver_that_asks_for_patience_hears_nothing_meanwhile(database: Engine) -> None:
    enqueue(database, "busy")
    enqueue(database, "busy")
    busy = Recorder(broken=True, failure=ChannelFailed("429", retry_after=timedelta(minutes=5)))
    deliver(database, {"busy": busy}, AlertsSettings(), NOW)
    busy.broken = False
    early, late = NOW + timedelta(seconds=299), NOW + timedelta(seconds=300)
    assert deliver(database, {"busy": busy}, AlertsSettings(), early) == Delivered(0, 0)
    assert deliver(database, {"busy": busy}, AlertsSettings(), late) == Delivered(2, 0)


@pytest.mark.integration
def test_what_is_told_of_an_alert_keeps_its_order(database: Engine) -> None:
    enqueue(database, "console", count=2)
    enqueue(database, "console")
    console = Recorder(broken=True)
    deliver(database, {"console": console}, AlertsSettings(), NOW)
    console.broken = False
    soon = NOW + timedelta(seconds=1)
    assert deliver(database, {"console": console}, AlertsSettings(), soon) == Delivered(1, 0)  # the other alert's
    assert deliver(database, {"console": console}, AlertsSettings(), NOW + pause(1)) == Delivered(2, 0)
    assert console.got == ["title 0", "title 0", "title 1"]


class Ending(Recorder):
    """Takes a message for so long that the server ends the session."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def send(self, message: Message) -> None:
        super().send(message)
        with self._engine.connect() as other:
            ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            ended += " WHERE state = 'idle in transaction' AND datname = current_database()"
            other.execute(text(ended))


@pytest.mark.integration
def test_a_try_that_never_comes_back_is_counted_and_holds_up_nobody(database: Engine) -> None:
    enqueue(database, "slow")
    enqueue(database, "console")
    slow, console = Ending(database), Recorder()
    channels = {"slow": slow, "console": console}
    with pytest.raises(OperationalError):
        deliver(database, channels, AlertsSettings(), NOW)
    assert deliver(database, channels, AlertsSettings(), NOW) == Delivered(1, 0)
    assert (rows(database, "slow"), console.got) == ([("pending", 1, None)], ["title 0"])
    deliver(database, channels, AlertsSettings(delivery_attempts=1), NOW + pause(1))
    assert rows(database, "slow") == [("failed", 1, "the last try never came back")]


@pytest.mark.integration
def test_a_session_may_wait_longer_for_a_channel_than_for_anything_else(database: Engine) -> None:
    found: list[str] = []

    class Asking(Recorder):
        def send(self, message: Message) -> None:
            with database.connect() as other:
                found.append(str(other.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()))
                idle = "state = 'idle in transaction' AND datname = current_database()"
                asked = text(f"SELECT query FROM pg_stat_activity WHERE {idle}")
                found.append(str(other.execute(asked).scalars().first()))

    enqueue(database, "asking")
    deliver(database, {"asking": Asking()}, AlertsSettings(), NOW)
    assert found == ["30s", "SET LOCAL idle_in_transaction_session_timeout = '2min'"]


@pytest.mark.integration
def test_whatever_a_channel_meets_the_others_go_on(database: Engine) -> None:
    enqueue(database, "odd")
    enqueue(database, "console")
    odd, console = Recorder(), Recorder()
    odd.send = lambda message: {}["nothing"]  # type: ignore[method-assign, assignment]
    assert deliver(database, {"odd": odd, "console": console}, AlertsSettings(), NOW) == Delivered(1, 1)
    assert rows(database, "odd") == [("pending", 1, "failed with KeyError")]


@pytest.mark.integration
def test_every_try_repeats_the_key_and_no_other_message_has_it(database: Engine) -> None:
    enqueue(database, "console", "other")
    console, other = Recorder(broken=True), Recorder()
    for tries in range(3):
        deliver(database, {"console": console, "other": other}, AlertsSettings(), NOW + timedelta(hours=tries))
    assert len(console.keys) == 3
    assert len(set(console.keys)) == 1
    assert other.keys[0] not in console.keys


_DELIVERER = """
import os, sys
from datetime import datetime
from pydantic import SecretStr
from alerts.channels.webhook import Webhook
from alerts.outbox import deliver
from alerts.settings import AlertsSettings
from storage.engine import open_engine
from storage.settings import StorageSettings

class Dying(Webhook):
    def send(self, message):
        super().send(message)
        os.kill(os.getpid(), 9)

settings = AlertsSettings(webhook_secret=SecretStr("s"))
channel = Dying("webhook:1", SecretStr(sys.argv[1]), settings)
deliver(open_engine(StorageSettings(), application="dying"), {"webhook:1": channel}, settings,
        datetime.fromisoformat(sys.argv[2]))
"""


@pytest.mark.integration
def test_killed_between_send_and_commit_one_message_comes_twice_with_one_key(
    database: Engine, storage_settings: StorageSettings
) -> None:
    enqueue(database, "webhook:1", count=3)
    with receiving() as receiver:
        environment = os.environ | {"NEWSQUAKE_STORAGE_URL": storage_settings.url.get_secret_value()}
        command = [sys.executable, "-c", _DELIVERER, receiver.url, NOW.isoformat()]
        died = subprocess.run(command, env=environment, timeout=60, check=False)
        assert died.returncode == -signal.SIGKILL
        settings = AlertsSettings(webhook_secret=SecretStr("s"))
        channel = Webhook("webhook:1", SecretStr(receiver.url), settings)
        deadline = time.monotonic() + 20
        sent = [("sent", 2, None), ("sent", 1, None), ("sent", 1, None)]
        while rows(database, "webhook:1") != sent and time.monotonic() < deadline:
            deliver(database, {"webhook:1": channel}, settings, NOW + pause(1))
    keys = [headers["idempotency-key"] for _, headers, _ in receiver.got]
    assert (len(keys), len(set(keys))) == (4, 3)
    assert keys[0] == keys[1]


def test_pauses_double_up_to_half_an_hour() -> None:
    assert [pause(attempts).total_seconds() for attempts in (1, 2, 3, 8, 9, 99)] == [10, 20, 40, 1280, 1800, 1800]
