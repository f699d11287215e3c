"""What a worker reports of its partitions when the database hangs or the broker does not answer.

Kafka's side is a stand-in that says what a test wants; `tests/integration` and `tests/chaos` have the real one.
"""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from faust.types import TP

from pipeline import reporter as reporters
from pipeline.progress import ProgressTracker
from pipeline.reporter import Reporter
from storage.progress import Progress

A = TP("newsquake.news", 0)


class Log:
    """What a consumer says of a partition that holds [0, `end`)."""

    generation = 1

    def __init__(self) -> None:
        self.end = 10

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

    @property
    def holes(self) -> list[tuple[TP, int, int]]:
        return []


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
    )


def test_after_a_report_that_hung_the_next_one_is_written_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporters, "_ANSWER", 0.2)
    log, table = Log(), Table()

    async def scenario() -> None:
        reporting = reporter(log, table)
        with pytest.raises(TimeoutError):
            await reporting._report()
        log.end = 20
        table.free.set()
        await reporting._report()

    asyncio.run(scenario())
    assert [[entry.end_offset for entry in progress] for progress in table.written] == [[10], [20]]
