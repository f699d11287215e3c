"""How long a message takes from its publisher to a row that others see, while workers are half busy.

A thread publishes evenly. A message's clock starts when it is due, which a busy thread may be late for (`behind_ms` is
the most), and stops when its row has come back from a query in another session, so that it covers the producer's
linger, the broker, the micro-batch's wait, the classifier, the commit, and the delay of the look itself: `poll_ms` is
how far apart looks are. To keep the look cheap it asks for eight rows of `stream_progress`, and for documents (by
primary key, those published since the oldest one not seen yet) only when something was committed, or nothing was for a
quarter of a second.

Publisher, looks, broker, database and workers share the cores.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from kafka import KafkaProducer
from sqlalchemy import Connection, Engine, func, select

from bench.errors import BenchError
from bench.pipeline.drain import READY
from bench.pipeline.messages import Item
from bench.pipeline.workers import Workers
from pipeline.message import encode
from pipeline.settings import PipelineSettings
from storage.tables import documents, stream_progress

_LOOK = 0.005
_AT_LEAST = 0.25
_LINGER_MS = 5
_AHEAD = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds from when a message was due to a visible row, of those due after the warm-up."""

    p50: float
    p95: float
    p99: float
    max: float
    messages: int
    rate_per_s: float
    seconds: float
    poll_ms: float
    behind_ms: float


class Pace(threading.Thread):
    """Publishes items evenly at `rate` a second, as published now; knows when each was due."""

    def __init__(self, settings: PipelineSettings, items: Sequence[Item], rate: float) -> None:
        super().__init__(name="pace", daemon=True)
        self.sent: list[tuple[str, datetime, float]] = []
        """Id, `published_at` and the monotonic seconds when they were due, of the messages sent so far."""
        self.behind = 0.0
        """Seconds, the most that a message was sent late."""
        self.failed: Exception | None = None
        self._settings = settings
        self._items = items
        self._rate = rate
        self._ended = threading.Event()
        self._producer: Any = KafkaProducer(
            **settings.client_options(), acks="all", compression_type="lz4", linger_ms=_LINGER_MS
        )

    def run(self) -> None:
        try:
            began = time.perf_counter()
            for number, item in enumerate(self._items):
                if (wait := began + number / self._rate - time.perf_counter()) > 0:
                    self._ended.wait(max(wait, 0.002))  # a few at a time: waking costs more than sending
                if self._ended.is_set():
                    return
                self.send(item, began + number / self._rate)
            self._producer.flush(30)
        except Exception as error:  # told by whoever waits for the messages
            self.failed = error

    def send(self, item: Item, due: float | None = None) -> None:
        """Publish one message now; it was due then."""
        now, at = datetime.now(UTC), time.perf_counter()
        message = msgspec.structs.replace(item.message, published_at=now)
        self.behind = max(self.behind, at - due if due else 0.0)
        self.sent.append((message.id, now, due or at))
        self._producer.send(self._settings.topic(item.stream), key=message.source.encode(), value=encode(message))

    def close(self) -> None:
        """Publish no more, and let go of the broker."""
        self._ended.set()
        if self.ident:
            self.join()
        self._producer.close(timeout=1)


def measure_latency(
    database: Engine,
    workers: Workers,
    settings: PipelineSettings,
    items: Sequence[Item],
    rate: float,
    watch: Callable[[int, int], None],
    *,
    warm_up: float,
    patience: float,
) -> Latencies:
    """Publish `items` at `rate` and see every one of them; those sent in the first `warm_up` seconds are not counted.

    The first message of each stream goes ahead alone, and the clock waits until it is stored: the workers are ready.

    Raises:
        BenchError: a worker ended, or a message is not stored in `patience` seconds.
    """
    ahead, rest = items[:2], items[2:]
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        pace = Pace(settings, rest, rate)
        seen = _Sight(connection, workers, pace, watch)
        try:
            for item in ahead:
                pace.send(item)
            seen.until(len(ahead), len(items), READY)
            pace.start()
            seen.until(len(items), len(items), patience)
        finally:
            pace.close()
    return _figures(pace.sent[len(ahead) :], seen, warm_up, pace.behind)


class _Sight:
    """Which messages have been seen in the database, and when."""

    def __init__(self, connection: Connection, workers: Workers, pace: Pace, watch: Callable[[int, int], None]) -> None:
        self.at: dict[str, float] = {}
        self.looks: list[float] = []
        self._connection = connection
        self._workers = workers
        self._pace = pace
        self._watch = watch
        self._oldest = 0
        self._stored = -1

    def until(self, count: int, total: int, patience: float) -> None:
        """Look until so many messages are seen; the last of them may be `patience` seconds behind the one before."""
        moved = looked = time.perf_counter()
        while len(self.at) < count:
            self._workers.check()
            stored = self._progress()
            now = time.perf_counter()
            self.looks.append(now)
            if stored != self._stored or now - looked > _AT_LEAST:
                self._stored, looked, before = stored, now, len(self.at)
                self._look()
                moved = now if len(self.at) > before else moved
                self._watch(len(self.at), total)
            if self._pace.failed or now - moved > patience:
                raise BenchError(
                    f"{len(self.at):,} of {len(self._pace.sent):,} messages are stored, and no more came in "
                    f"{now - moved:.0f} s: {self._pace.failed or self._workers.last_words()}"
                )
            time.sleep(_LOOK)

    def _progress(self) -> int:
        return int(self._connection.execute(select(func.sum(stream_progress.c.next_offset))).scalar_one() or 0)

    def _look(self) -> None:
        """Ask for what was published since the oldest message that has not been seen."""
        sent = self._pace.sent
        while self._oldest < len(sent) and sent[self._oldest][0] in self.at:
            self._oldest += 1
        if self._oldest == len(sent):
            return
        recent = documents.c.published_at.between(sent[self._oldest][1], datetime.now(UTC) + _AHEAD)
        found = self._connection.execute(select(documents.c.id).where(recent)).scalars().all()
        now = time.perf_counter()
        for name in found:
            self.at.setdefault(name, now)


def _figures(sent: Sequence[tuple[str, datetime, float]], seen: _Sight, warm_up: float, behind: float) -> Latencies:
    began, ended = sent[0][2], sent[-1][2]
    warm = began + min(warm_up, (ended - began) / 4)
    measured = np.array([seen.at[name] - at for name, _, at in sent if at >= warm]) * 1000
    p50, p95, p99 = np.percentile(measured, (50, 95, 99)).tolist()
    looks = np.diff([look for look in seen.looks if look >= warm])
    return Latencies(
        p50=p50,
        p95=p95,
        p99=p99,
        max=float(measured.max()),
        messages=len(measured),
        rate_per_s=(len(sent) - 1) / (ended - began),
        seconds=ended - began,
        poll_ms=float(np.mean(looks)) * 1000,
        behind_ms=behind * 1000,
    )
