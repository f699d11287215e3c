"""The exactly-once batch writer: scored documents, their minute rollups and the stream's progress in one transaction.

A batch may be delivered any number of times, by any number of workers at once: a document is known by its key, and
only documents that were really inserted raise the rollups. Stands between the classifier and the acknowledgement of
Kafka's offsets, which follows the commit.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import errors
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, IntegrityError

from storage.faults import meaning
from storage.progress import Progress, record_progress
from storage.tables import models

_WRITE = text(Path(__file__).with_name("write_batch.sql").read_text("utf-8"))
_STAGING = text("""
CREATE TEMPORARY TABLE IF NOT EXISTS staging (
    published_at timestamptz, key uuid, source text, id text, stream text, lang text, title text, text text, url text,
    author text, entities text[], content_hash bigint, model_id smallint, topic text, sentiment text, negative real,
    neutral real, positive real, score double precision, confidence real
) ON COMMIT DELETE ROWS""")
_TYPES = (
    "timestamptz uuid text text text text text text text text text[] int8 int2 text text "
    "float4 float4 float4 float8 float4"
).split()
_FIRST_DAY = date(2000, 1, 1)


class ScoredDocument(msgspec.Struct, frozen=True):
    """One document with its score. `published_at` is UTC; `negative + neutral + positive` is about 1."""

    key: UUID
    published_at: datetime
    source: str
    id: str
    stream: str
    lang: str
    title: str | None
    text: str
    url: str | None
    author: str | None
    entities: Sequence[str]
    content_hash: int
    topic: str
    sentiment: str
    negative: float
    neutral: float
    positive: float
    confidence: float


class BatchWriter:
    """Writes batches for one model. Not thread-safe: one writer a thread; any number of writers a database."""

    def __init__(self, engine: Engine, model: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine = engine
        self._model = model
        self._clock = clock
        self._model_id: int | None = None
        self._days: set[date] = set()

    def write(self, batch: Sequence[ScoredDocument], progress: Sequence[Progress] = ()) -> int:
        """Store what is new of `batch` and return how many documents that was.

        Raises `TransientFault` (retry), `PermanentFault` (give up), `DocumentRefused` (isolate); other database errors
        come as they are. On any error nothing of the batch is stored, unless the connection broke during the commit:
        then it may be, and the next try changes nothing.
        """
        try:
            return self._write(batch, progress)
        except (DBAPIError, psycopg.Error) as error:  # COPY goes past SQLAlchemy, and so do its errors
            known = meaning(error)
            if known is None:
                raise
            raise known from error

    def _write(self, batch: Sequence[ScoredDocument], progress: Sequence[Progress], *, again: bool = True) -> int:
        unique = {document.key: document for document in reversed(batch)}
        self._ensure_days({document.published_at.date() for document in unique.values()})
        try:
            with self._engine.begin() as connection:
                inserted = self._insert(connection, list(unique.values())) if unique else 0
                record_progress(connection, progress, now=self._clock())
                return inserted
        except IntegrityError as error:
            if again and isinstance(error.orig, errors.CheckViolation):
                self._days.clear()  # retention dropped a day that we knew
                return self._write(batch, progress, again=False)
            raise

    def _insert(self, connection: Connection, batch: Sequence[ScoredDocument]) -> int:
        model_id = self._ensure_model(connection)
        connection.execute(_STAGING)
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy("COPY staging FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(_TYPES)
            for document in batch:
                copy.write_row(_row(document, model_id))
        return int(connection.execute(_WRITE).scalar_one())

    def _ensure_model(self, connection: Connection) -> int:
        if self._model_id is None:
            known = select(models.c.model_id).where(models.c.name == self._model)
            found = connection.execute(known).scalar_one_or_none()
            if found is None:
                connection.execute(insert(models).values(name=self._model).on_conflict_do_nothing())
                return int(connection.execute(known).scalar_one())  # remembered once it is committed
            self._model_id = int(found)
        return self._model_id

    def _ensure_days(self, days: set[date]) -> None:
        missing = {day for day in days if day >= _FIRST_DAY} - self._days
        for day in sorted(missing):
            with self._engine.begin() as connection:
                connection.execute(text("SELECT ensure_document_day(:day)"), {"day": day})
            self._days.add(day)


def _row(document: ScoredDocument, model_id: int) -> tuple[object, ...]:
    return (
        document.published_at,
        document.key,
        document.source,
        document.id,
        document.stream,
        document.lang,
        document.title,
        document.text,
        document.url,
        document.author,
        list(document.entities),
        document.content_hash,
        model_id,
        document.topic,
        document.sentiment,
        document.negative,
        document.neutral,
        document.positive,
        document.positive - document.negative,
        document.confidence,
    )
