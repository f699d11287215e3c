"""The outbox: hands pending notifications to their channels, at least once.

A try is counted before it is made, so that one which never comes back does not come first for ever. Each row is locked,
sent and marked in a transaction of its own, so that a crash repeats at most one message, with the same key, and two
deliverers never send the same row. A channel that fails is left alone for the rest of the round, and for as long as its
receiver asks; the others go on. What a channel is told of one alert keeps its order: a late try of
`fired` after `resolved` would open the alert again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, Select, exists, func, select, text, update

from alerts.channels import Channel
from alerts.chart import picture
from alerts.errors import ChannelFailed
from alerts.message import Message
from alerts.settings import AlertsSettings
from storage.tables import alert_events, notifications

log = structlog.get_logger()

_FIRST_PAUSE = timedelta(seconds=10)
_LONGEST_PAUSE = timedelta(minutes=30)
# Sessions that ask nothing for half a minute are ended, and a mail to twenty people takes longer. No more than that: a
# scheduler that freezes while it sends holds what follows for that alert and channel as long.
_MAY_TAKE = text("SET LOCAL idle_in_transaction_session_timeout = '2min'")


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one round did; `failed` counts tries, whether or not another one follows."""

    sent: int = 0
    failed: int = 0


def deliver(engine: Engine, channels: Mapping[str, Channel], settings: AlertsSettings, now: datetime) -> Delivered:
    """Send what is due, oldest first, up to `delivery_batch` notifications."""
    sent = failed = 0
    broken: set[str] = set()
    for _ in range(settings.delivery_batch):
        with engine.begin() as connection:
            claimed = _claim(connection, broken, settings.delivery_attempts, now)
        if claimed is None:
            break
        with engine.begin() as connection:
            outcome = _deliver_one(connection, claimed, channels, broken, settings, now)
        if outcome is not None:
            sent, failed = sent + outcome, failed + (not outcome)
    return Delivered(sent, failed)


def pause(attempts: int) -> timedelta:
    """How long to wait after the n-th failure: 10 s, doubled each time, at most half an hour."""
    return min(_FIRST_PAUSE * (1 << min(attempts - 1, 10)), _LONGEST_PAUSE)


def _claim(connection: Connection, broken: set[str], most: int, now: datetime) -> int | None:
    """Count a try of the next due notification, as if it had failed; its number, or None where there is none.

    What has had as many as `most` tries, the last of which never came back, has failed.
    """
    while (row := connection.execute(_next(broken, now)).one_or_none()) is not None:
        own, attempts = notifications.c.notification_id == row.notification_id, row.attempts + 1
        if attempts <= most:
            values = {"attempts": attempts, "next_attempt_at": now + pause(attempts)}
            connection.execute(update(notifications).where(own).values(values))
            return int(row.notification_id)
        reason = row.last_error or "the last try never came back"
        connection.execute(update(notifications).where(own).values(state="failed", last_error=reason))
        log.warning("notification_failed", channel=row.channel, attempts=row.attempts, final=True, reason=reason)
    return None


def _deliver_one(
    connection: Connection,
    claimed: int,
    channels: Mapping[str, Channel],
    broken: set[str],
    settings: AlertsSettings,
    now: datetime,
) -> bool | None:
    """Send a notification; None where another deliverer has it after all."""
    table = notifications.c
    mine = select(notifications).where(table.notification_id == claimed, table.state == "pending")
    row = connection.execute(mine.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    connection.execute(_MAY_TAKE)
    channel = channels.get(row.channel)
    image = _picture(connection, row) if settings.charts and channel is not None and channel.takes_pictures else None
    failure = _try(channel, row, image)
    values: dict[str, object] = {"state": "sent", "sent_at": now, "last_error": None}
    if failure is not None:
        final = failure.final or row.attempts >= settings.delivery_attempts
        following = now + max(pause(row.attempts), failure.retry_after or timedelta(0))
        values = {"last_error": str(failure), "next_attempt_at": following}
        values |= {"state": "failed"} if final else {}
        log.warning("notification_failed", channel=row.channel, attempts=row.attempts, final=final, reason=str(failure))
        if not failure.final:
            broken.add(row.channel)
        if failure.retry_after is not None:
            _leave_alone(connection, row.channel, now + failure.retry_after)
    connection.execute(update(notifications).where(table.notification_id == claimed).values(values))
    return failure is None


def _next(broken: set[str], now: datetime) -> Select[Any]:
    """The oldest due notification that no older one of its alert and channel is waiting before; locked."""
    table, event = notifications.c, alert_events.c
    older, older_event = notifications.alias(), alert_events.alias()
    waits = exists().where(
        older.c.event_id == older_event.c.event_id,
        older_event.c.alert_id == event.alert_id,
        older.c.channel == table.channel,
        older.c.state == "pending",
        older.c.notification_id < table.notification_id,
    )
    return (
        select(notifications)
        .join(alert_events, event.event_id == table.event_id)
        .where(table.state == "pending", table.next_attempt_at <= now, table.channel.not_in(broken), ~waits)
        .order_by(table.notification_id)
        .limit(1)
        .with_for_update(skip_locked=True, of=notifications)
    )


def _picture(connection: Connection, row: Row[Any]) -> bytes | None:
    """The chart of a message; a message without one is better than none."""
    if not row.payload:
        return None
    try:
        with connection.begin_nested():
            return picture(connection, row.payload, row.title, row.payload.get("language", "en"))
    except Exception as error:
        log.warning("chart_failed", notification=row.notification_id, reason=f"{type(error).__name__}: {error}")
        return None


def _try(channel: Channel | None, row: Row[Any], image: bytes | None) -> ChannelFailed | None:
    """Hand one row over; why not, where that fails."""
    if channel is None:
        return ChannelFailed("the channel is no longer in the settings", final=True)
    try:
        channel.send(Message(row.title, row.body, str(row.key), row.payload, image))
    except ChannelFailed as failure:
        return failure
    except Exception as error:  # whatever one channel meets, the others go on; its words may hold the URL
        return ChannelFailed(f"failed with {type(error).__name__}")
    return None


def _leave_alone(connection: Connection, channel: str, until: datetime) -> None:
    """Let all that waits for a channel wait as long as its receiver asks."""
    table = notifications.c
    waiting = (table.channel == channel) & (table.state == "pending")
    later = func.greatest(table.next_attempt_at, until)
    connection.execute(update(notifications).where(waiting).values(next_attempt_at=later))
