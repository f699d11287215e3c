"""Alerts for people and for programs: what `newsquake alerts list` shows. Reads only."""

from typing import Any

from sqlalchemy import Connection, Engine, Table, select

from storage.tables import alert_events, alerts, notifications

STATES = ("open", "firing", "acknowledged", "resolved")


def list_alerts(engine: Engine, *, limit: int = 50, state: str | None = None) -> list[dict[str, Any]]:
    """The newest episodes first, each with its `events`, and each event with its `notifications`.

    Times are aware datetimes.

    `state` is one of `STATES` (`open`: not resolved) or None for all.
    """
    if state is not None and state not in STATES:
        raise ValueError(f"unknown state {state!r}: use one of {', '.join(STATES)}")
    query = select(alerts).order_by(alerts.c.opened_at.desc(), alerts.c.alert_id.desc()).limit(limit)
    if state == "open":
        query = query.where(alerts.c.state != "resolved")
    elif state is not None:
        query = query.where(alerts.c.state == state)
    with engine.connect() as connection:
        found = [dict(row._mapping) for row in connection.execute(query)]
        events = _rows(connection, alert_events, "alert_id", [row["alert_id"] for row in found])
        told = _rows(connection, notifications, "event_id", [row["event_id"] for row in events])
    for event in events:
        event["notifications"] = [row for row in told if row["event_id"] == event["event_id"]]
    for row in found:
        row["events"] = [event for event in events if event["alert_id"] == row["alert_id"]]
    return found


def open_alerts(engine: Engine) -> list[dict[str, Any]]:
    """Episodes that are firing or acknowledged."""
    return list_alerts(engine, state="open")


def _rows(connection: Connection, table: Table, key: str, values: list[int]) -> list[dict[str, Any]]:
    """Rows whose `key` is among `values`, in the order in which they were written."""
    if not values:
        return []
    identity = next(iter(table.primary_key))
    query = select(table).where(table.c[key].in_(values)).order_by(identity)
    return [dict(row._mapping) for row in connection.execute(query)]
