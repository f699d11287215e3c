"""Rounds as a scheduler makes them, over a bank run, and what they leave in the outbox and in the audit rows.

The bank run fires at about twelve past ten and calms down at a quarter to two.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select

from alerts.clockwork import wind
from alerts.evaluate import tick
from alerts.queries import list_alerts
from alerts.rules import Rule
from alerts.series import MINUTE
from alerts.settings import AlertsSettings
from alerts.silences import add_silence
from storage.tables import alert_events, notifications
from tests.alerts.traffic import read_to_the_end

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
