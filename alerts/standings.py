"""Where open episodes stand, as the life cycle wants to know it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from alerts.lifecycle import Standing
from alerts.series import ALL, Series
from alerts.silences import Subject
from storage.tables import alerts


def read_standings(connection: Connection, alert_id: int | None = None) -> list[Standing]:
    """Where one episode stands, or all open ones, the oldest first; their rows are locked to the transaction's end."""
    table = alerts.c
    wanted = table.state != "resolved" if alert_id is None else table.alert_id == alert_id
    query = select(alerts).where(wanted).order_by(table.alert_id).with_for_update()
    return [_standing(row) for row in connection.execute(query)]


def series_of(item: Mapping[str, str]) -> Series:
    """A member of an episode from its JSON; rows of older releases name no entity."""
    return Series(item["topic"], item["stream"], item.get("entity", ALL))


def _standing(row: Row[Any]) -> Standing:
    series = tuple(series_of(item) for item in row.members) or (Series(row.topic, row.stream, row.entity),)
    entities, sources, topics = (dict(row.reasons.get(kind, {})) for kind in ("entities", "sources", "topics"))
    looked_at = sum(topics.values()) or row.observed  # rows of older releases have no topics
    subject = Subject(series, entities, sources, looked_at, topics)
    return Standing(
        alert_id=row.alert_id,
        state=row.state,
        severity=row.severity,
        subject=subject,
        opened_at=row.opened_at,
        last_seen_at=row.last_seen_at,
        told_at=row.told_at,
        last_told_at=row.last_told_at,
        owed_since=row.owed_since,
        escalated_at=row.escalated_at,
        silence_id=row.silence_id,
    )
