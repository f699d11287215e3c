"""The outbox: hands pending notifications to their channels, at least once.

Each row is locked, sent and marked in a transaction of its own, so that a crash repeats at most one message and two
deliverers never send the same row. A channel that fails is left alone for the rest of the round; the others go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, Engine, select, update

from alerts.channels import Channel
from alerts.errors import ChannelFailed
from alerts.message import Message
from alerts.settings import AlertsSettings
from storage.tables import notifications

log = structlog.get_logger()

_FIRST_PAUSE = timedelta(seconds=10)
_LONGEST_PAUSE = timedelta(minutes=30)


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
            outcome = _deliver_one(connection, channels, broken, settings, now)
        if outcome is None:
            break
        sent, failed = sent + outcome, failed + (not outcome)
    return Delivered(sent, failed)


def pause(attempts: int) -> timedelta:
    """How long to wait after the n-th failure: 10 s, doubled each time, at most half an hour."""
    return min(_FIRST_PAUSE * (1 << min(attempts - 1, 10)), _LONGEST_PAUSE)


def _deliver_one(
    connection: Connection, channels: Mapping[str, Channel], broken: set[str], settings: AlertsSettings, now: datetime
) -> bool | None:
    """Send the next due notification; None where there is none."""
    table = notifications.c
    query = (
        select(table.notification_id, table.channel, table.title, table.body, table.attempts)
        .where(table.state == "pending", table.next_attempt_at <= now, table.channel.not_in(broken))
        .order_by(table.notification_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    channel = channels.get(row.channel)
    values: dict[str, object] = {"attempts": row.attempts + 1}
    error = "" if channel is not None else "the channel is no longer in the settings"
    if channel is not None:
        try:
            channel.send(Message(row.title, row.body))
        except ChannelFailed as failure:
            error = str(failure)
            broken.add(row.channel)
    if not error:
        values |= {"state": "sent", "sent_at": now, "last_error": None}
    else:
        final = channel is None or row.attempts + 1 >= settings.delivery_attempts
        values |= {"last_error": error, "next_attempt_at": now + pause(row.attempts + 1)}
        values |= {"state": "failed"} if final else {}
        log.warning("notification_failed", channel=row.channel, attempts=row.attempts + 1, final=final, reason=error)
    connection.execute(update(notifications).where(table.notification_id == row.notification_id).values(**values))
    return not error
