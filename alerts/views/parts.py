"""Each source's part of messages: from the counts by source and hour, or from the messages themselves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, func, select

from alerts.series import ALL
from storage.tables import documents, scores, source_hour

_DAYS = 7


def parts(connection: Connection, query: Select[Any]) -> dict[str, float]:
    """From rows of a source and a count to each source's part, 0..1."""
    found = {source: int(n) for source, n in connection.execute(query)}
    total = sum(found.values())
    return {source: n / total for source, n in found.items()}


def by_hour(stream: str, hour: datetime) -> Select[Any]:
    """Messages of each source of a stream (`*`: both) in the week before `hour`."""
    table = source_hour.c
    query = select(table.source, func.sum(table.n)).where(table.bucket >= hour - timedelta(days=_DAYS))
    query = query.where(table.bucket < hour)
    if stream != ALL:
        query = query.where(table.stream == stream)
    return query.group_by(table.source)


def by_message(wanted: Sequence[ColumnElement[bool]], start: datetime, end: datetime) -> Select[Any]:
    """Messages of each source that meet the conditions, published from `start` up to, not including, `end`."""
    query = select(documents.c.source, func.count()).select_from(scored_documents())
    return query.where(*wanted, *published(start, end)).group_by(documents.c.source)


def scored_documents() -> FromClause:
    """Documents with their scores; `published` limits both, so that PostgreSQL looks into days at hand only."""
    same = (documents.c.published_at == scores.c.published_at) & (documents.c.key == scores.c.key)
    return documents.join(scores, same)


def published(start: datetime, end: datetime) -> list[ColumnElement[bool]]:
    """Counted scores of documents of a span."""
    times = (documents.c.published_at, scores.c.published_at)
    return [scores.c.counted, *(time >= start for time in times), *(time < end for time in times)]
