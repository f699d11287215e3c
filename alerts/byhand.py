"""What people do to an episode: take it on, or end it. Each is one transaction with an audit row that names them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from alerts import store
from alerts.errors import NotDone
from storage.tables import alert_cursor, alerts


def acknowledge(
    connection: Connection, alert_id: int, *, by: str, note: str | None, now: datetime
) -> tuple[dict[str, Any], bool]:
    """Take an episode on: it is neither repeated nor escalated from now on. Its row, and whether that changed anything.

    Again by whomever changes nothing. Raises `NotDone` where there is no such episode, or it is over.
    """
    row = _locked(connection, alert_id)
    if row.state == "resolved":
        raise NotDone(f"alert {alert_id} is resolved already, since {row.resolved_at:%Y-%m-%d %H:%M} UTC")
    if row.state == "acknowledged":
        return dict(row._mapping), False
    values = {"state": "acknowledged", "acknowledged_at": now, "acknowledged_by": by, "owed_since": None}
    return _change(connection, alert_id, "acknowledged", values, _reached(connection), by, note, now), True


def resolve(
    connection: Connection, alert_id: int, *, by: str, note: str | None, now: datetime
) -> tuple[dict[str, Any], bool]:
    """End an episode by hand, without a message; the cool-down begins as if it had calmed down.

    Waits for an evaluation that is under way. Again changes nothing. Raises `NotDone` where there is no such episode.
    """
    reached = _reached(connection, lock=True)
    row = _locked(connection, alert_id)
    if row.state == "resolved":
        return dict(row._mapping), False
    ended = max(reached or row.last_seen_at, row.last_seen_at)
    values = {"state": "resolved", "resolved_at": ended, "owed_since": None}
    return _change(connection, alert_id, "resolved_by_hand", values, ended, by, note, now), True


def _locked(connection: Connection, alert_id: int) -> Row[Any]:
    row = connection.execute(select(alerts).where(alerts.c.alert_id == alert_id).with_for_update()).one_or_none()
    if row is None:
        raise NotDone(f"there is no alert {alert_id}: `newsquake alerts list` shows the newest")
    return row


def _reached(connection: Connection, *, lock: bool = False) -> datetime | None:
    """The event-time minute that evaluation has come to."""
    query = select(alert_cursor.c.next_minute)
    found: datetime | None = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    return found


def _change(
    connection: Connection,
    alert_id: int,
    kind: str,
    values: dict[str, Any],
    at: datetime | None,
    by: str,
    note: str | None,
    now: datetime,
) -> dict[str, Any]:
    changed = update(alerts).where(alerts.c.alert_id == alert_id).values(**values).returning(alerts)
    row = connection.execute(changed).one()
    store.record(connection, alert_id, kind, at or row.last_seen_at, {}, now, actor=by, note=note)
    return dict(row._mapping)
