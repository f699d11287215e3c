"""What processes and the database hold at a moment: one sample a worker, and all of them in a CSV file."""

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import psutil
from sqlalchemy import Connection, and_, column, func, literal_column, select, table

from bench.errors import BenchError, BenchUsage
from storage.tables import stream_progress

WORKER_SESSIONS = "newsquake worker"
"""The name under which a worker's sessions stand in `pg_stat_activity`."""

_ACTIVITY = table("pg_stat_activity", column("datname"), column("application_name"), column("state"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One worker at a moment, `seconds` after the first commit; connections, documents and lag are of all workers."""

    seconds: float
    worker: int
    resident_mb: float
    threads: int
    fds: int
    connections: int
    idle_connections: int
    docs: int
    lag: int
    broker_mb: float


def stored(connection: Connection) -> int:
    """Messages of new topics that are stored, by the workers' own account: eight rows, so that asking costs nothing."""
    return int(connection.execute(select(func.sum(stream_progress.c.next_offset))).scalar_one() or 0)


def sessions(connection: Connection) -> tuple[int, int]:
    """The workers' connections to this database, and how many of them are idle."""
    own = and_(
        _ACTIVITY.c.datname == func.current_database(),
        _ACTIVITY.c.application_name == WORKER_SESSIONS,
    )
    idle = func.count().filter(_ACTIVITY.c.state == literal_column("'idle'"))
    found = connection.execute(select(func.count(), idle).select_from(_ACTIVITY).where(own)).one()
    return int(found[0]), int(found[1])


def resident(pid: int) -> float:
    """Megabytes that a process holds now.

    Raises:
        BenchError: there is no such process.
    """
    return _counts(pid)[0]


def look(connection: Connection, pids: Sequence[int], broker: int, *, seconds: float, published: int) -> list[Sample]:
    """A sample of every worker now.

    Raises:
        BenchError: a worker has ended.
    """
    docs, (connections, idle), broker_mb = stored(connection), sessions(connection), resident(broker)
    samples = []
    for worker, pid in enumerate(pids):
        mb, threads, fds = _counts(pid)
        lag = published - docs
        found = Sample(seconds, worker, mb, threads, fds, connections, idle, docs, lag, broker_mb)
        samples.append(found)
    return samples


def _counts(pid: int) -> tuple[float, int, int]:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return process.memory_info().rss / 1e6, process.num_threads(), process.num_fds()
    except psutil.NoSuchProcess:
        raise BenchError(f"process {pid} has ended") from None


class SampleFile:
    """Samples as CSV, each on the disk once it is written; without a path nowhere."""

    def __init__(self, path: Path | None) -> None:
        """Create or replace the file.

        Raises:
            BenchUsage: it cannot be written.
        """
        self._file: TextIO | None = None
        if path:
            try:
                self._file = path.open("w", encoding="utf-8", newline="")
            except OSError as error:
                raise BenchUsage(f"{path} cannot be written: {error.strerror}") from error
            csv.writer(self._file).writerow([field.name for field in fields(Sample)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def write(self, samples: Sequence[Sample]) -> None:
        """Add rows."""
        if self._file:
            csv.writer(self._file).writerows(map(_row, samples))
            self._file.flush()


def _row(sample: Sample) -> list[str]:
    return [f"{value:.2f}" if isinstance(value, float) else str(value) for value in astuple(sample)]
