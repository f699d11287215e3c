"""What a worker reports of its partitions when the database hangs or the broker does not answer.

Kafka's side is a stand-in that says what a test wants; `tests/integration` and `tests/chaos` have the real one.
"""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from pipeline import reporter as reporters
from pipeline.progress import ProgressTracker
from pipeline.reporter import Reporter
from storage.progress import Progress

A, GONE = TP("newsquake.news", 0), TP("newsquake.news", 1)


class Log:
    """What a consumer says of partitions that hold [`beginning`, `end`)."""

    generation = 1

    def __init__(self) -> None:
        self.beginning, self.end = 0, 10
        self.holes: list[tuple[TP, int, int]] = []
        self.away = False

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, self.end)

    async def position(self, tp: TP) -> int:
        return 0

    def highwater(self, tp: TP) -> int:
        return self.end

    def delivered(self) -> dict[TP, int]:
        return {}

    def committed(self) -> dict[TP, int]:
        return {}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        if self.away:
            raise KafkaConnectionError
        return dict.fromkeys(partitions, self.beginning)


class Table:
    """Takes reports once `free` is set."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.written: list[Sequence[Progress]] = []

    def write(self, progress: Sequence[Progress]) -> None:
        self.free.wait(5)
        self.written.append(progress)


def reporter(log: Log, table: Table) -> Reporter:
    """A reporter of one partition, A, that is read from its beginning."""
    tracker = ProgressTracker()
    tracker.assign([A])
    tracker.start({A: 0}, {})
    return Reporter(
        log,  # type: ignore[arg-type]
        tracker,
        read=dict,
        write=table.write,
        topics=[A.topic],
        topic_ids=dict,
        bound=60,
        patience=1,
        clock=time.monotonic,
    )


def test_after_a_report_that_hung_the_next_one_is_written_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporters, "_ANSWER", 0.2)
    log, table = Log(), Table()

    async def scenario() -> None:
        reporting = reporter(log, table)
        with pytest.raises(TimeoutError):
            await reporting._report()
        log.end = 20
        monkeypatch.setattr(reporters, "_ANSWER", 30)
        table.free.set()
        await reporting._report()

    asyncio.run(scenario())
    assert [[entry.end_offset for entry in progress] for progress in table.written] == [[10], [20]]


def test_what_is_lost_is_told_once_kafka_answers_of_partitions_that_moved_away_as_well() -> None:
    log, table = Log(), Table()
    log.beginning, log.holes, log.away = 8, [(A, 5, 9), (GONE, 2, 4)], True
    table.free.set()

    async def scenario() -> None:
        reporting = reporter(log, table)
        with pytest.raises(KafkaConnectionError):
            await reporting._report()
        log.away = False
        await reporting._report()
        await reporting._report()

    with structlog.testing.capture_logs() as logs:
        asyncio.run(scenario())
    assert [(entry["event"], entry["partition"], entry["lost"]) for entry in logs] == [
        ("messages_lost", 0, 3),
        ("messages_lost", 1, 2),
    ]
