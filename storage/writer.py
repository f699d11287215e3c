"""The exactly-once batch writer: scored documents, their minute rollups and the stream's progress in one transaction.

A batch may be delivered any number of times, by any number of workers at once: a document is known by its key, and
only documents that were really inserted raise the rollups. Stands between the classifier and the acknowledgement of
Kafka's offsets, which follows the commit.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
from psycopg import errors
from sqlalchemy import Connection, Engine, TextClause, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from storage.errors import DatabaseUnreachable
from storage.faults import meaning
from storage.partitions import ensure_days
from storage.progress import Progress, record_progress
from storage.staging import prepare, stage
from storage.tables import models


def statement(*names: str, answer: str) -> TextClause:
    """The statement of `.sql` files beside this module, which end in a CTE `changes`, with the rollups behind it."""
    parts = [Path(__file__).with_name(name).read_text("utf-8") for name in (*names, "rollups.sql")]
    return text("".join(parts) + answer)


_WRITE_ALL = statement("all_new.sql", "write_batch.sql", answer="SELECT count(*) FROM fresh")
_WRITE_NEW = statement("some_new.sql", "write_batch.sql", answer="SELECT count(*) FROM fresh")
_RESCORE = statement("rescore_batch.sql", answer="SELECT count(*) FROM rescored")
# Each staged document is looked up by its key: without statistics the planner may prefer to read whole partitions.
_LOOK_UP = text("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off")
# `activate` takes a lock that this one excludes, so that no score is stored by a rule that no longer holds.
_NO_ACTIVATION = text("LOCK TABLE document_keys IN ROW EXCLUSIVE MODE")
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
    """Writes batches for one model. Not thread-safe: one writer a thread; any number of writers a database.

    After `patience` batches in a row that were all new, the next is expected to be, which is cheaper where it is and
    costs a second try where it is not: sources that repeat themselves should not be met by surprise each time.
    """

    def __init__(
        self,
        engine: Engine,
        model: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        patience: int = 16,
    ) -> None:
        self._engine = engine
        self._model = model
        self._clock = clock
        self._model_id: int | None = None
        self._days: set[date] = set()
        self._patience = patience
        self._new_in_a_row = 0

    def write(self, batch: Sequence[ScoredDocument], progress: Sequence[Progress] = ()) -> int:
        """Store what is new of `batch` and return how many documents that was.

        Raises `TransientFault` (retry), `PermanentFault` (give up), `DocumentRefused` (isolate); other database errors
        come as they are. On any error nothing of the batch is stored, unless the connection broke during the commit,
        or only a part of the batch was new: then it may be, and the next try changes nothing.

        Documents that are stored already get this model's scores beside the others'. What the rollups count is the
        first score of a document, until the active model has scored it too.
        """
        try:
            return self._write(batch, progress)
        except (DBAPIError, psycopg.Error) as error:  # COPY goes past SQLAlchemy, and so do its errors
            known = meaning(error)
            if known is None:
                raise
            raise known from error

    def _write(self, batch: Sequence[ScoredDocument], progress: Sequence[Progress], *, again: bool = True) -> int:
        unique = list({document.key: document for document in reversed(batch)}.values())
        self._ensure_days({document.published_at.date() for document in unique})
        try:
            with self._engine.connect() as connection:
                return self._store(connection, unique, progress)
        except IntegrityError as error:
            if self._expects_new and isinstance(error.orig, errors.UniqueViolation):
                self._new_in_a_row = 0  # a second delivery after all
                return self._write(batch, progress, again=again)
            if again and isinstance(error.orig, errors.CheckViolation):
                self._days.clear()  # retention dropped a day that we knew
                return self._write(batch, progress, again=False)
            raise
        except (OperationalError, psycopg.OperationalError) as error:  # the latter from COPY
            if again and isinstance(meaning(error), DatabaseUnreachable):
                return self._write(batch, progress, again=False)  # it ended while idle, or is told so only now
            raise

    def _store(self, connection: Connection, batch: Sequence[ScoredDocument], progress: Sequence[Progress]) -> int:
        """One transaction, or two where only a part of the batch is new.

        Scores of known documents must not be inserted, nor rollups moved, while rollups of new ones are locked: two
        workers could wait for each other. Progress is told by the last transaction.
        """
        if batch:
            prepare(connection)
        with connection.begin():
            inserted = self._insert(connection, batch) if batch else 0
            mixed = 0 < inserted < len(batch)
            if not mixed:
                if inserted < len(batch):
                    self._rescore(connection)
                record_progress(connection, progress, now=self._clock())
        if mixed:
            with connection.begin():
                connection.execute(_NO_ACTIVATION)
                stage(connection, batch, self._ensure_model(connection))
                self._rescore(connection)
                record_progress(connection, progress, now=self._clock())
        if batch:
            self._new_in_a_row = self._new_in_a_row + 1 if inserted == len(batch) else 0
        return inserted

    @property
    def _expects_new(self) -> bool:
        return self._new_in_a_row >= self._patience

    def _insert(self, connection: Connection, batch: Sequence[ScoredDocument]) -> int:
        """Store the documents of `batch` that are new, and return how many."""
        stage(connection, batch, self._ensure_model(connection))
        return int(connection.execute(_WRITE_ALL if self._expects_new else _WRITE_NEW).scalar_one())

    def _rescore(self, connection: Connection) -> None:
        """Keep this model's scores of the staged documents that are known already."""
        connection.execute(_LOOK_UP)
        connection.execute(_RESCORE)

    def _ensure_model(self, connection: Connection) -> int:
        if self._model_id is None:
            known = select(models.c.model_id).where(models.c.name == self._model)
            found = connection.execute(known).scalar_one_or_none()
            if found is None:
                return self._add_model(connection)  # remembered once it is committed
            self._model_id = int(found)
        return self._model_id

    def _add_model(self, connection: Connection) -> int:
        """The first model of a database is the active one."""
        connection.execute(text("LOCK TABLE models IN SHARE ROW EXCLUSIVE MODE"))
        first = ~select(models.c.model_id).where(models.c.active).exists()
        new = insert(models).from_select(["name", "active"], select(literal(self._model), first))
        connection.execute(new.on_conflict_do_nothing())
        return int(connection.execute(select(models.c.model_id).where(models.c.name == self._model)).scalar_one())

    def _ensure_days(self, days: set[date]) -> None:
        for day in sorted({day for day in days if day >= _FIRST_DAY} - self._days):
            ensure_days(self._engine, [day])
            self._days.add(day)
