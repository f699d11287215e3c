"""Filling a database: the batch writer and the indexer themselves, in a process a core, a day at a time.

Nothing but speed is different from how documents come in otherwise: commits do not wait for the disk, batches are
large, and sessions have more memory.
"""

import queue
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

from psycopg import Connection
from pydantic import SecretStr
from sqlalchemy import Engine, event, text

from bench.engine.remote import Remote
from bench.engine.rounds import Watch
from bench.storage.documents import FIRST_DAY, days, of_day
from models.hardware import usable_cores
from models.labels import TOPICS
from storage.engine import open_engine
from storage.search import index_documents, waiting
from storage.settings import StorageSettings
from storage.writer import BatchWriter

BATCH = 4_096
_FAST = "SET synchronous_commit = off; SET work_mem = '64MB'"
_ALERTS = """
INSERT INTO alerts (topic, stream, state, severity, test, window_minutes, opened_at, last_seen_at, resolved_at,
                    expected, observed, messages, p_value, sources, contents)
VALUES (:topic, '*', :state, 'warning', 'volume', 15, :opened, :seen, :resolved, 4.2, 31, 90, 1e-9, 12, 25)"""


class Filler:
    """One process that stores or indexes."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(
            StorageSettings(url=SecretStr(url), statement_timeout=3600), application="newsquake bench"
        )
        event.listen(self._engine, "connect", _hurry)
        self._writer = BatchWriter(self._engine, "bench")

    def store(self, start: datetime, count: int) -> int:
        """A whole day."""
        return sum(self._writer.write(batch) for batch in of_day(start, count, BATCH))

    def index(self) -> int:
        """A lot of what waits for the indexes; 0 when nothing does."""
        return index_documents(self._engine, 5 * BATCH)


def _hurry(connection: Connection[object], record: object) -> None:
    connection.autocommit = True
    connection.execute(_FAST)
    connection.autocommit = False


def fill(url: str, documents: int, count: int, log: Path, watch: Watch, *, processes: int | None = None) -> None:
    """Store `documents` over `count` days, index them and let the server clean up after that."""
    with ExitStack() as stack:
        number = processes or min(4, usable_cores())
        fillers = [stack.enter_context(Remote(Filler, url, log=log)) for _ in range(number)]
        threads = stack.enter_context(ThreadPoolExecutor(number))
        todo: queue.SimpleQueue[tuple[datetime, int]] = queue.SimpleQueue()
        for day in days(documents, count).items():
            todo.put(day)
        told = _Told("fill", documents, watch)
        list(threads.map(lambda filler: _store(filler, todo, told), fillers))
        told = _Told("index", documents, watch)
        list(threads.map(lambda filler: _index(filler, told), fillers))


def _store(filler: Remote, todo: "queue.SimpleQueue[tuple[datetime, int]]", told: Callable[[int], None]) -> None:
    while True:
        try:
            start, count = todo.get_nowait()
        except queue.Empty:
            return
        told(filler.call("store", start, count))


def _index(filler: Remote, told: Callable[[int], None]) -> None:
    while indexed := filler.call("index"):
        told(indexed)


class _Told:
    """Adds up what several threads report."""

    def __init__(self, stage: str, total: int, watch: Watch) -> None:
        self._stage, self._total, self._watch, self._done = stage, total, watch, 0
        watch(stage, 0, total)

    def __call__(self, more: int) -> None:
        self._done += more
        self._watch(self._stage, self._done, self._total)


def add_alerts(engine: Engine, count: int, open_ones: int) -> None:
    """A history of alerts, some of them open, and the index of documents must be done by then.

    Raises:
        RuntimeError: documents still wait for their index.
    """
    chance = random.Random(1)
    rows = []
    for number in range(count):
        opened = FIRST_DAY + timedelta(hours=5 * number)
        still = number >= count - open_ones
        seen = opened + timedelta(minutes=40)
        state = "firing" if still else "resolved"
        resolved = None if still else seen
        rows.append(
            {"topic": chance.choice(TOPICS), "state": state, "opened": opened, "seen": seen, "resolved": resolved}
        )
    if left := waiting(engine):
        raise RuntimeError(f"{left:,} documents are not indexed")
    with engine.begin() as connection:
        connection.execute(text(_ALERTS), rows)


def settle(engine: Engine) -> None:
    """What autovacuum does in time: statistics, visibility, the search index's waiting list; then a checkpoint."""
    with engine.connect() as connection:
        plain = connection.execution_options(isolation_level="AUTOCOMMIT")
        plain.execute(text("SET statement_timeout = 0"))
        plain.execute(text("VACUUM (ANALYZE)"))
        plain.execute(text("CHECKPOINT"))
