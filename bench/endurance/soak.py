"""A worker at full load for half an hour: does it hold more and more memory, connections, files or threads?

    load, endless ─► a backlog that never empties ─► `newsquake worker` ─► samples every 5 s ─► a line through them

Nothing more is published once time is up or somebody asks to stop; what waits is then stored, and every id that was
published must be in the database once.
"""

import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from bench.endurance.bulk import BulkPublisher
from bench.endurance.load import DISTINCT, Load
from bench.endurance.samples import Sample, SampleFile, look, stored
from bench.endurance.trend import course, slope_per_min, warm_up
from bench.engine.rounds import Watch
from bench.errors import BenchError
from bench.machine import machine
from bench.pipeline.drain import PATIENCE, READY
from bench.pipeline.run import PACKAGES
from bench.pipeline.servers import BrokerKind, Servers
from bench.pipeline.workers import WORKER, Workers
from storage.engine import open_engine
from storage.tables import documents

KEEP_BYTES = 64 << 20
"""Of a partition, what Apache Kafka keeps: many times what waits."""
COUNT_WITHIN = 1800
"""Seconds that the last query, over all documents, may take."""
_LOOK = 0.1
_FEWEST = 3
"""Samples that a line needs."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to run, for how long."""

    seconds: float = 1800.0
    texts: Path | None = None
    """File or folder; the corpus without one."""
    distinct: int = DISTINCT
    broker: BrokerKind | None = None
    workers: int = 1
    samples: Path | None = None
    """CSV file for all samples."""
    every: float = 5.0
    """Seconds between samples."""
    ahead: tuple[int, int] = (4_000, 10_000)
    """When fewer messages than the first wait, more are published, up to the second."""
    worker: Sequence[str] = WORKER
    """Python's arguments for the worker that is measured."""
    patience: float = PATIENCE


def run(request: Request, watch: Watch, stop: threading.Event) -> dict[str, Any]:
    """Start servers, soak, and return the JSON document; setting `stop` ends it with the figures so far.

    Raises:
        BenchUsage: there are no texts, or no such broker.
        BenchError: a worker does not run, or what is stored is not what was published.
    """
    load = Load(request.texts, request.distinct)
    with tempfile.TemporaryDirectory(prefix="newsquake-bench-") as folder:
        with Servers(Path(folder), request.broker) as servers:
            return soak(servers, load, request, watch, stop)


def soak(servers: Servers, load: Load, request: Request, watch: Watch, stop: threading.Event) -> dict[str, Any]:
    """The same on servers that run already."""
    storage, topics = servers.database("soak"), servers.topics("soak", keep_bytes=KEEP_BYTES)
    patient = storage.model_copy(update={"statement_timeout": COUNT_WITHIN})
    database = open_engine(patient, application="newsquake bench")
    try:
        with (
            SampleFile(request.samples) as file,
            BulkPublisher(topics) as publisher,
            database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            publisher.publish(load.take(request.ahead[1]))
            with Workers(servers, topics, storage, argv=request.worker, count=request.workers) as workers:
                running = _Running(connection, workers, servers, load, publisher, file, request, watch, stop)
                running.begin()
                samples, lowest = running.sampled()
                running.drain()
                size = int(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one())
    finally:
        database.dispose()
    return figures(samples, request.workers) | {
        "lag": {"min": lowest, "max": max(sample.lag for sample in samples)},
        "published": load.published,
        "mean_bytes": load.bytes / load.published,
        "database_mb": size / 1e6,
        "broker_mb": samples[-1].broker_mb,
        "ended_early": stop.is_set(),
        "asked_s": request.seconds,
        "workers": request.workers,
        "broker": str(servers.kind),
        "texts": load.source,
        "machine": machine(PACKAGES) | servers.versions(),
    }


class _Running:
    """The load on workers that have been started."""

    def __init__(
        self,
        connection: Connection,
        workers: Workers,
        servers: Servers,
        load: Load,
        publisher: BulkPublisher,
        file: SampleFile,
        request: Request,
        watch: Watch,
        stop: threading.Event,
    ) -> None:
        self._connection = connection
        self._workers = workers
        self._broker = servers.pids["broker"]
        self._load = load
        self._publisher = publisher
        self._file = file
        self._request = request
        self._watch = watch
        self._stop = stop
        self._stored = 0
        self._moved = time.perf_counter()
        self._limit = READY
        self._lowest = request.ahead[1]

    def begin(self) -> None:
        """Wait for the first commit."""
        while not self._look():
            if self._stop.is_set():
                raise BenchError("stopped before the first commit: there is nothing to tell")
            time.sleep(_LOOK)
        self._limit = self._request.patience

    def sampled(self) -> tuple[list[Sample], int]:
        """All samples until time is up, and the fewest messages that were ever seen to wait."""
        began, due, taken = time.perf_counter(), 0.0, list[Sample]()
        while (now := time.perf_counter() - began) < self._request.seconds and not self._stop.is_set():
            self._keep_ahead()
            if now >= due:
                due += self._request.every * (1 + (now - due) // self._request.every)
                self._sample(taken, began)
            self._watch("soak", int(now), int(self._request.seconds))
            self._stop.wait(_LOOK)
        self._sample(taken, began)
        return taken, self._lowest

    def drain(self) -> None:
        """Wait until everything is stored, and count.

        Raises:
            BenchError: an id is missing, or there twice.
        """
        published = self._load.published
        while (there := self._look()) < published:
            self._watch("drain", there, published)
            time.sleep(_LOOK)
        name = documents.c.id
        asked = select(func.count(), func.count(name.distinct()), func.min(name), func.max(name))
        found = tuple(self._connection.execute(asked).one())
        if found != (published, published, *self._load.ends):
            raise BenchError(
                f"{found[0]:,} documents of {found[1]:,} ids, from {found[2]} to {found[3]}, are stored of "
                f"{published:,} messages"
            )
        self._watch("drain", published, published)

    def _keep_ahead(self) -> None:
        low, high = self._request.ahead
        waiting = self._load.published - self._look()
        self._lowest = min(self._lowest, waiting)
        if waiting < low:
            self._publisher.publish(self._load.take(high - waiting))

    def _sample(self, taken: list[Sample], began: float) -> None:
        seconds, published = time.perf_counter() - began, self._load.published
        samples = look(self._connection, self._workers.pids, self._broker, seconds=seconds, published=published)
        self._file.write(samples)
        taken += samples

    def _look(self) -> int:
        self._workers.check()
        there, now = stored(self._connection), time.perf_counter()
        if there != self._stored:
            self._stored, self._moved = there, now
        elif now - self._moved > self._limit:
            raise BenchError(
                f"{there:,} of {self._load.published:,} messages are stored, and no more came in "
                f"{now - self._moved:.0f} s: {self._workers.last_words()}"
            )
        return there


def figures(samples: Sequence[Sample], workers: int) -> dict[str, Any]:
    """What samples say once the warm-up is over; of several workers the one whose memory rises fastest.

    Raises:
        BenchError: there are too few of them.
    """
    seconds = samples[-1].seconds
    warm = warm_up(seconds)
    after = [sample for sample in samples if sample.seconds >= warm]
    apart = [[sample for sample in after if sample.worker == number] for number in range(workers)]
    if len(apart[0]) < _FEWEST:
        raise BenchError(f"{len(apart[0])} samples after a warm-up of {warm:.0f} s: too few for a line, run it longer")
    memory = [_memory(own) for own in apart]
    worst = max(range(workers), key=lambda number: memory[number]["slope_mb_per_min"])
    own = apart[worst]
    docs, took = own[-1].docs - own[0].docs, own[-1].seconds - own[0].seconds
    return {
        "memory": memory[worst],
        "memory_by_worker": memory,
        "threads": asdict(course([sample.threads for sample in own])),
        "fds": asdict(course([sample.fds for sample in own])),
        "connections": asdict(course([sample.connections for sample in own])),
        "idle_connections": asdict(course([sample.idle_connections for sample in own])),
        "docs": samples[-1].docs,
        "docs_per_s": docs / took,
        "seconds": seconds,
        "warm_up_s": warm,
        "samples": len(own),
    }


def _memory(samples: Sequence[Sample]) -> dict[str, float]:
    held = [sample.resident_mb for sample in samples]
    slope = slope_per_min([sample.seconds for sample in samples], held)
    return {"slope_mb_per_min": slope, "start_mb": held[0], "end_mb": held[-1], "peak_mb": max(held)}
