"""Rows of a source into Kafka: paced by event time, acknowledged by all replicas, counted one by one.

Every row ends in exactly one of the report's counts: delivered, rejected (not a valid message; never sent) or failed
(Kafka did not take it).
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError

from pipeline.errors import BrokerUnreachable, InvalidMessage
from pipeline.message import encode, validate
from pipeline.pacing import Pace
from pipeline.settings import PipelineSettings
from pipeline.sources.files import Row

IN_FLIGHT = 10_000  # messages handed to the producer and not acknowledged yet: bounds memory
_GRACE = 5.0  # seconds beyond the delivery timeout for the producer to tell what failed
SHOWN = 20  # rejected or failed rows that the report quotes


@dataclass(slots=True)
class Report:
    """What became of the rows; `rejections` and `failures` quote the first of each as (line, reason)."""

    delivered: int = 0
    rejected: int = 0
    failed: int = 0
    rejections: list[tuple[int, str]] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def reject(self, line: int, reason: str) -> None:
        self.rejected += 1
        if len(self.rejections) < SHOWN:
            self.rejections.append((line, reason))

    def fail(self, line: int, reason: str) -> None:
        self.failed += 1
        if len(self.failures) < SHOWN:
            self.failures.append((line, reason))


class Publisher:
    """Sends rows and keeps the report. Use as a context manager: leaving it waits for the outstanding deliveries."""

    def __init__(self, settings: PipelineSettings, *, delivery_timeout: float = 120) -> None:
        self._settings = settings
        self._timeout = delivery_timeout
        self._slots = threading.BoundedSemaphore(IN_FLIGHT)
        self._lock = threading.Lock()
        self._waiting: dict[int, int] = {}  # number of the message → line
        self._sent = 0
        self._given_up = False
        self.report = Report()
        try:
            self._producer: Any = KafkaProducer(
                **settings.client_options(),
                acks="all",
                compression_type="lz4",
                linger_ms=20,
                batch_size=1 << 17,
                max_request_size=4 << 20,
                delivery_timeout_ms=int(delivery_timeout * 1000),
                request_timeout_ms=min(30_000, int(delivery_timeout * 1000) - 1000),
                max_block_ms=10_000,
                bootstrap_timeout_ms=5_000,
            )
        except (KafkaError, OSError) as error:
            raise BrokerUnreachable(f"no Kafka broker answers at {settings.broker}: {type(error).__name__}") from error

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._producer.flush(timeout=0 if self._given_up else self._timeout + _GRACE)
        except KafkaError:
            self._give_up()
        with suppress(KafkaError):  # of messages that are counted as failed by now
            self._producer.close(timeout=1)

    def send(self, row: Row, *, shift: timedelta = timedelta(0), now: datetime) -> None:
        """Validate `row` and hand it to the producer; waits while too many are in flight."""
        if row.message is None or row.stream is None:
            self.report.reject(row.line, row.error or "not a message")
            return
        try:
            moved = msgspec.structs.replace(row.message, published_at=row.message.published_at + shift)
            message = validate(moved, now=now)
        except (InvalidMessage, OverflowError) as error:
            self.report.reject(row.line, str(error))
            return
        if self._given_up or not self._slots.acquire(timeout=self._timeout + _GRACE):
            self._give_up()
            self.report.fail(row.line, "Kafka has stopped acknowledging")
            return
        with self._lock:
            self._sent = number = self._sent + 1
            self._waiting[number] = row.line
        try:
            sent = self._producer.send(
                self._settings.topic(row.stream), key=message.source.encode(), value=encode(message)
            )
        except (KafkaError, OSError) as error:
            self._done(number, error)
            return
        sent.add_callback(lambda _: self._done(number, None))
        sent.add_errback(lambda error: self._done(number, error))

    def _done(self, number: int, error: BaseException | None) -> None:
        with self._lock:
            line = self._waiting.pop(number, None)
            if line is None:
                return  # given up before
            if error is None:
                self.report.delivered += 1
            else:
                self.report.fail(line, f"{type(error).__name__}: {error}")
        self._slots.release()

    def _give_up(self) -> None:
        """Count what Kafka has not acknowledged within the delivery timeout as failed, and send no more."""
        with self._lock:
            self._given_up = True
            for line in self._waiting.values():
                self.report.fail(line, f"not acknowledged within {self._timeout:.0f} s")
            self._waiting.clear()


def publish(
    rows: Iterable[Row],
    publisher: Publisher,
    *,
    speed: float | None,
    shift: timedelta = timedelta(0),
    stop: threading.Event | None = None,
    on_row: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Publish `rows` in their order, each when it is due; `speed` None is as fast as Kafka takes them.

    Setting `stop` ends early; what was handed over is still delivered and counted.
    """
    stopped = stop or threading.Event()
    pace: Pace | None = None
    for row in rows:
        if row.message is not None:
            pace = pace or Pace(row.message.published_at, datetime.now(UTC), speed)
            wait = (pace.due(row.message.published_at) - datetime.now(UTC)).total_seconds()
            deadline = time.monotonic() + wait
            while speed is not None and not stopped.is_set() and (left := deadline - time.monotonic()) > 0:
                stopped.wait(min(left, 0.5))
                on_row(publisher.report)
        if stopped.is_set():
            break
        publisher.send(row, shift=shift, now=datetime.now(UTC))
        on_row(publisher.report)
    return publisher.report
