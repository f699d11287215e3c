"""How fast workers empty a backlog: from the first commit that is seen to the last.

Progress is read from `stream_progress`, eight rows, so that watching costs next to nothing; it is taken for a hint, and
documents are counted where the clock starts and where it stops. The start of the process, of the model and of the
consumer group lies before the first commit and is told by itself as `ready_s`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select

from bench.errors import BenchError
from bench.pipeline.usage import cpu_seconds, resident_mb, spent
from bench.pipeline.workers import Workers
from storage.tables import documents, stream_progress

PATIENCE = 60.0
"""Seconds without a commit after which a run has failed."""
READY = 180.0
"""The same before the first commit: a model may have to be compiled."""
_LOOK = 0.02
_COUNT = 0.2


@dataclass(frozen=True, slots=True)
class Drained:
    """One backlog, stored to its end; `cpu_s` is by part, between the first and the last commit."""

    docs_per_s: float
    documents: int
    seconds: float
    ready_s: float
    batches: int
    batch_mean: float
    peak_mb: float
    cpu_s: dict[str, float]


def drain(
    database: Engine,
    workers: Workers,
    total: int,
    watch: Callable[[int, int], None],
    *,
    patience: float = PATIENCE,
) -> Drained:
    """Watch workers that have just been started until `total` documents are stored.

    Raises:
        BenchError: a worker ended, or fewer documents or more are stored.
    """
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        look = _Lookout(connection, workers, total, watch, patience)
        before, first, counted, account = look.first()
        after = look.last()
        used = spent(account, cpu_seconds(workers.parts))
        batches = connection.execute(select(func.count(documents.c.received_at.distinct()))).scalar_one()
        since, rest = (first, total - counted) if counted < total else (before, total)
    return Drained(
        docs_per_s=rest / (after - since),
        documents=total,
        seconds=after - since,
        ready_s=first - look.began,
        batches=batches,
        batch_mean=total / batches,
        peak_mb=look.peak_mb,
        cpu_s=used,
    )


class _Lookout:
    def __init__(
        self,
        connection: Connection,
        workers: Workers,
        total: int,
        watch: Callable[[int, int], None],
        patience: float,
    ) -> None:
        self._connection = connection
        self._workers = workers
        self._total = total
        self._watch = watch
        self._patience = patience
        self._limit = READY
        self.began = self._moved = time.perf_counter()
        self._stored = 0
        self.peak_mb = 0.0

    def first(self) -> tuple[float, float, int, dict[str, float]]:
        """The last look before and the first look after the first commit, what it held, and the processors' account."""
        before = self.began
        while True:
            at = time.perf_counter()
            counted = count(self._connection) if self._progress() else 0
            if counted:
                self._limit = self._patience
                return before, time.perf_counter(), counted, cpu_seconds(self._workers.parts)
            before = at
            time.sleep(_LOOK)

    def last(self) -> float:
        """When everything was first seen to be stored."""
        while True:
            stored, at = self._progress(), time.perf_counter()
            if stored >= self._total:
                found = count(self._connection)
                if found == self._total:
                    return at
                if found > self._total:
                    raise BenchError(f"{found:,} documents are stored of {self._total:,} messages")
                time.sleep(_COUNT)
            time.sleep(_LOOK)

    def _progress(self) -> int:
        self._workers.check()
        self.peak_mb = max(self.peak_mb, resident_mb(self._workers.pids))
        stored = int(self._connection.execute(select(func.sum(stream_progress.c.next_offset))).scalar_one() or 0)
        if stored != self._stored:
            self._stored, self._moved = stored, time.perf_counter()
            self._watch(min(stored, self._total), self._total)
        elif (idle := time.perf_counter() - self._moved) > self._limit:
            raise BenchError(
                f"{count(self._connection):,} of {self._total:,} messages are stored, and no more came in "
                f"{idle:.0f} s: {self._workers.last_words()}"
            )
        return stored


def count(connection: Connection) -> int:
    """Documents in the database."""
    return int(connection.execute(select(func.count()).select_from(documents)).scalar_one())
