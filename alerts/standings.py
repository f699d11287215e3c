"""Where open episodes stand, as the life cycle wants to know it."""

from typing import Any

from sqlalchemy import Connection, Row, select

from alerts.lifecycle import Standing
from alerts.series import Series
from alerts.silences import Subject
from storage.tables import alerts


def read_standings(connection: Connection, alert_id: int | None = None) -> list[Standing]:
    """Where one episode stands, or all open ones, the oldest first; their rows are locked to the transaction's end."""
    table = alerts.c
    wanted = table.state != "resolved" if alert_id is None else table.alert_id == alert_id
    query = select(alerts).where(wanted).order_by(table.alert_id).with_for_update()
    return [_standing(row) for row in connection.execute(query)]


def _standing(row: Row[Any]) -> Standing:
    series = tuple(Series(item["topic"], item["stream"]) for item in row.members)
    counts = (dict(row.reasons.get("entities", {})), dict(row.reasons.get("sources", {})))
    return Standing(
        alert_id=row.alert_id,
        state=row.state,
        severity=row.severity,
        subject=Subject(series or (Series(row.topic, row.stream),), *counts, row.observed),
        opened_at=row.opened_at,
        last_seen_at=row.last_seen_at,
        told_at=row.told_at,
        last_told_at=row.last_told_at,
        owed_since=row.owed_since,
        escalated_at=row.escalated_at,
        silence_id=row.silence_id,
    )
