"""Alerts for people and for programs: what `newsquake alerts list` shows. Reads only."""

from typing import Any

from sqlalchemy import ARRAY, Connection, Engine, Table, any_, literal, select

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
        happened = [event for of_alert in events.values() for event in of_alert]
        told = _rows(connection, notifications, "event_id", [event["event_id"] for event in happened])
    for event in happened:
        event["notifications"] = told.get(event["event_id"], [])
    for row in found:
        row["events"] = events.get(row["alert_id"], [])
    return found


def open_alerts(engine: Engine) -> list[dict[str, Any]]:
    """Episodes that are firing or acknowledged."""
    return list_alerts(engine, state="open")


def _rows(connection: Connection, table: Table, key: str, values: list[int]) -> dict[int, list[dict[str, Any]]]:
    """Rows whose `key` is among `values`, by `key`, in the order in which they were written.

    All values are one parameter: a statement takes 65,535 of them.
    """
    identity = next(iter(table.primary_key))
    among = any_(literal(values, ARRAY(table.c[key].type)))
    found: dict[int, list[dict[str, Any]]] = {}
    for row in connection.execute(select(table).where(table.c[key] == among).order_by(identity)):
        found.setdefault(row._mapping[key], []).append(dict(row._mapping))
    return found
