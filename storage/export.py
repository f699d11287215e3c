"""Rows for export, streamed: documents with the score that counts, or trends; in order of time, a part at a time.

Server-side cursors keep memory bounded on both sides, however much is stored. Documents are read in a short
transaction a day, so that retention, which drops days, never waits for an export of all: a document that is stored
while one runs may or may not be in it, and one that was there before is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select, Table, func, select
from sqlalchemy.exc import DBAPIError

from storage.faults import meaning
from storage.partitions import MILLENNIUM, document_days
from storage.tables import documents, scores, sentiment_day, sentiment_hour, sentiment_minute

PART = 5_000
"""Rows that are held at a time."""

_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class Kind(StrEnum):
    """What a column holds: UTC times, strings, lists of strings, floats, whole numbers."""

    TIME = "time"
    TEXT = "text"
    TEXTS = "texts"
    REAL = "real"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Field:
    """One column of an export."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows: event times in [since, until), of these topics and this stream; all where nothing is said."""

    since: datetime | None = None
    until: datetime | None = None
    topics: Sequence[str] = ()
    stream: str | None = None


DOCUMENTS = (
    Field("published_at", Kind.TIME),
    Field("source", Kind.TEXT),
    Field("id", Kind.TEXT),
    Field("stream", Kind.TEXT),
    Field("lang", Kind.TEXT),
    Field("topic", Kind.TEXT),
    Field("sentiment", Kind.TEXT),
    Field("score", Kind.REAL),
    Field("negative", Kind.REAL),
    Field("neutral", Kind.REAL),
    Field("positive", Kind.REAL),
    Field("confidence", Kind.REAL),
    Field("entities", Kind.TEXTS),
    Field("title", Kind.TEXT),
    Field("text", Kind.TEXT),
    Field("url", Kind.TEXT),
    Field("author", Kind.TEXT),
    Field("received_at", Kind.TIME),
)
TRENDS = (
    Field("bucket", Kind.TIME),
    Field("topic", Kind.TEXT),
    Field("stream", Kind.TEXT),
    Field("lang", Kind.TEXT),
    Field("n", Kind.COUNT),
    Field("negative", Kind.COUNT),
    Field("neutral", Kind.COUNT),
    Field("positive", Kind.COUNT),
    Field("negative_share", Kind.REAL),
    Field("mean_score", Kind.REAL),
)
BUCKETS = {"minute": sentiment_minute, "hour": sentiment_hour, "day": sentiment_day}

Told = Callable[[int, int], None]
"""Called with how many steps are done, and how many there are."""


def stream_documents(
    engine: Engine, wanted: Range, *, part: int = PART, told: Told = lambda done, steps: None
) -> Iterator[Sequence[Row[Any]]]:
    """Documents in order of `published_at` and key, as rows of `DOCUMENTS`, at most `part` at a time.

    Raises:
        StorageError: as the other parts of this package.
    """
    try:
        windows = list(_windows(engine, wanted))
        for done, (start, end) in enumerate(windows):
            told(done, len(windows))
            yield from _stream(engine, _documents(wanted, start, end), part)
        told(len(windows), len(windows))
    except DBAPIError as error:
        raise meaning(error) or error from error


def stream_trends(
    engine: Engine, wanted: Range, *, bucket: str = "hour", part: int = PART
) -> Iterator[Sequence[Row[Any]]]:
    """Counts by `bucket` (minute, hour or day), topic, stream and language, as rows of `TRENDS`, in this order.

    Raises:
        StorageError: as the other parts of this package.
    """
    try:
        yield from _stream(engine, _trends(BUCKETS[bucket], wanted), part)
    except DBAPIError as error:
        raise meaning(error) or error from error


def _stream(engine: Engine, query: Select[Any], part: int) -> Iterator[Sequence[Row[Any]]]:
    with engine.connect() as connection:
        found = connection.execute(query.execution_options(yield_per=part))
        yield from found.partitions()


def _windows(engine: Engine, wanted: Range) -> Iterator[tuple[datetime, datetime]]:
    """The stored part of the range, cut at the bounds of partitions."""
    since, until = wanted.since or _FIRST, wanted.until or _LAST
    if since < MILLENNIUM:
        yield since, min(until, MILLENNIUM)
    for day in document_days(engine):
        start = datetime.combine(day.day, time(), UTC)
        end = start + timedelta(days=1)
        if start < until and end > since:
            yield max(start, since), min(end, until)


def _documents(wanted: Range, start: datetime, end: datetime) -> Select[Any]:
    """The bounds stand for both tables, so that both are pruned to one partition."""
    origin = {field.name: (documents if field.name in documents.c else scores).c[field.name] for field in DOCUMENTS}
    query = (
        select(*origin.values())
        .select_from(documents)
        .join(scores, (scores.c.published_at == documents.c.published_at) & (scores.c.key == documents.c.key))
        .where(documents.c.published_at >= start, documents.c.published_at < end)
        .where(scores.c.published_at >= start, scores.c.published_at < end, scores.c.counted)
        .order_by(documents.c.published_at, documents.c.key)
    )
    return query.where(*_only(wanted, scores.c.topic, documents.c.stream))


def _trends(rollup: Table, wanted: Range) -> Select[Any]:
    own = {field.name: rollup.c[field.name] for field in TRENDS if field.name in rollup.c}
    n = func.nullif(rollup.c.n, 0)
    share = (rollup.c.negative * 1.0 / n).cast(rollup.c.score_sum.type).label("negative_share")
    query = select(*own.values(), share, (rollup.c.score_sum / n).label("mean_score")).where(rollup.c.n > 0)
    if wanted.since:
        query = query.where(rollup.c.bucket >= wanted.since)
    if wanted.until:
        query = query.where(rollup.c.bucket < wanted.until)
    return query.where(*_only(wanted, rollup.c.topic, rollup.c.stream)).order_by(
        rollup.c.bucket, rollup.c.topic, rollup.c.stream, rollup.c.lang
    )


def _only(wanted: Range, topic: ColumnElement[str], stream: ColumnElement[str]) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = []
    if wanted.topics:
        chosen.append(topic.in_(wanted.topics))
    if wanted.stream:
        chosen.append(stream == wanted.stream)
    return chosen
