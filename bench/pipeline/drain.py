"""How fast workers empty a backlog: from a tenth of it stored to all of it.

Progress is read from `stream_progress`, eight rows, so that watching costs next to nothing; it is taken for a hint, and
documents are counted where the clock starts and where it stops. It starts late, since what fills the worker's queues
at first was not read in the time that is measured. The start of the process, of the model and of the consumer group is
told by itself as `ready_s`, up to the first commit.
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
_UNDER_WAY = 6_000  # documents, a tenth of all if that is less, after which the clock starts: twice what queues hold


@dataclass(frozen=True, slots=True)
class Drained:
    """One backlog, stored to its end; `seconds` and `cpu_s` (by part) from a tenth of it, at most 6,000, to the end."""

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
        before, since, counted, account = look.under_way(min(_UNDER_WAY, total // 10))
        after = look.last()
        used = spent(account, cpu_seconds(workers.parts))
        batches = connection.execute(select(func.count(documents.c.received_at.distinct()))).scalar_one()
        since, rest = (since, total - counted) if counted < total else (before, total)
    return Drained(
        docs_per_s=rest / (after - since),
        documents=total,
        seconds=after - since,
        ready_s=look.first - look.began,
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
        self.first = 0.0
        """When the first commit was seen."""
        self.peak_mb = 0.0

    def under_way(self, wanted: int) -> tuple[float, float, int, dict[str, float]]:
        """The last look before the first commit, the first look at `wanted` documents, how many those are, and the
        processors' account then."""
        before = self.began
        while True:
            at = time.perf_counter()
            progress = self._progress()
            if progress and not self.first:
                self.first, self._limit = time.perf_counter(), self._patience
            if progress and progress >= wanted and (counted := count(self._connection)) >= max(wanted, 1):
                return before, time.perf_counter(), counted, cpu_seconds(self._workers.parts)
            before = before if self.first else at
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
