"""What the consumer delivers and commits: slices that continue their partition, and offsets that are stored.

Kafka's side is left out here; `tests/integration` and `tests/chaos` have it.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from faust.types import TP

from pipeline import consumer as consumers
from pipeline.app import create_app
from pipeline.consumer import HELD, HELD_BYTES, Slice, SliceConsumer
from pipeline.errors import Stuck
from pipeline.settings import PipelineSettings

A, B = TP("newsquake.news", 0), TP("newsquake.news", 1)
OTHER = TP("newsquake.comments", 0)


@dataclass(frozen=True)
class Record:
    offset: int
    value: bytes | None = b"{}"
    key: bytes | None = None
    timestamp: int = 0
    timestamp_type: int = 0
    headers: tuple[tuple[str, bytes | None], ...] = ()


def records(*offsets: int) -> list[Record]:
    return [Record(offset) for offset in offsets]


class Bench:
    """A consumer with partitions dealt to it, and what it has delivered."""

    def __init__(self, folder: Path) -> None:
        self.app = create_app(PipelineSettings(), str(folder))
        self.app.finalize()
        self.consumer: SliceConsumer = self.app.consumer
        self.delivered: list[tuple[TP, list[int]]] = []
        self.sought: list[tuple[TP, int]] = []
        self.consumer.callback = self._take
        self.consumer._take_back = self._seek  # type: ignore[method-assign]

    async def _take(self, part: Slice) -> None:
        self.delivered.append((part.tp, [record.offset for record in part.records]))

    async def _seek(self, tp: TP, offset: int) -> None:
        self.sought.append((tp, offset))

    def deal(self, **starts: int) -> int:
        """A new deal: partitions of A, B by name, with the offsets at which they start."""
        self.consumer._deal(frozenset())
        self.consumer._expected.update({{"a": A, "b": B, "other": OTHER}[name]: at for name, at in starts.items()})
        return self.consumer.generation

    async def deliver(self, tp: TP, found: Sequence[Record], generation: int | None = None) -> None:
        await self.consumer._deliver(tp, found, self.consumer.generation if generation is None else generation)


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def bench(tmp_path: Path, loop: asyncio.Runner) -> Iterator[Bench]:
    async def made() -> Bench:
        return Bench(tmp_path)

    bench = loop.run(made())
    yield bench
    bench.consumer._thread.thread_loop.close()  # of the thread that was never started


def test_slices_go_on_where_the_last_one_ended(bench: Bench, loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        bench.deal(a=5)
        await bench.deliver(A, records(5, 6))
        await bench.deliver(A, records(7))

    loop.run(scenario())
    assert bench.delivered == [(A, [5, 6]), (A, [7])]
    assert bench.consumer.holes == []


def test_a_log_that_lost_its_tail_is_read_again_since_its_offsets_are_given_out_anew(
    bench: Bench, loop: asyncio.Runner
) -> None:
    async def scenario() -> None:
        bench.deal(a=5)
        await bench.deliver(A, records(5, 6, 7))
        await bench.deliver(A, records(0, 1))
        await bench.deliver(A, records(2))

    with structlog.testing.capture_logs() as logs:
        loop.run(scenario())
    assert bench.delivered == [(A, [5, 6, 7]), (A, [0, 1]), (A, [2])]
    assert bench.consumer.holes == []
    assert [(entry["event"], entry["reading_from"]) for entry in logs] == [("offsets_moved", 0)]


def test_offsets_that_kafka_passes_over_are_noted(bench: Bench, loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        bench.deal(a=5)
        await bench.deliver(A, records(9, 10))

    loop.run(scenario())
    assert bench.consumer.holes == [(A, 5, 9)]


def test_what_was_read_before_a_new_deal_is_not_delivered_but_read_again(bench: Bench, loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        before = bench.deal(a=5)
        bench.deal(a=2, b=0)
        await bench.deliver(A, records(7, 8), before)
        await bench.deliver(OTHER, records(0), before)

    loop.run(scenario())
    assert bench.delivered == [] and bench.consumer.holes == []
    assert bench.sought == [(A, 2)], "the other partition is somebody else's now"


def test_only_what_is_stored_in_this_deal_is_committed(bench: Bench) -> None:
    before = bench.deal(a=0)
    generation = bench.deal(a=0, b=0)
    bench.consumer.stored({A: 40}, before)
    assert bench.consumer._filter_committable_offsets([A, B]) == {}
    bench.consumer.stored({A: 3, B: 7}, generation)
    assert bench.consumer._filter_committable_offsets(bench.consumer._filter_tps_with_pending_acks()) == {A: 3, B: 7}
    bench.consumer._committed_offset[A] = 3
    assert bench.consumer._filter_committable_offsets([A, B]) == {B: 7}
    bench.consumer.forget("newsquake.news")
    assert bench.consumer._filter_tps_with_pending_acks() == []


def test_a_deal_whose_beginning_is_never_told_ends_the_worker_before_faust_gives_up_in_silence(
    bench: Bench, loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert consumers._SEEK_WITHIN < bench.app.conf.broker_request_timeout
    monkeypatch.setattr(consumers, "_SEEK_WITHIN", 0.05)

    async def committed() -> dict[TP, int]:
        return {A: 5}

    async def never(committed: Mapping[TP, int | None]) -> dict[TP, int]:
        await asyncio.sleep(60)
        return {}

    bench.consumer.seek_to_committed = committed
    bench.consumer.start_reading = never
    with pytest.raises(Stuck, match="where to read on"):
        loop.run(asyncio.wait_for(bench.consumer.perform_seek(), 5))


@pytest.mark.parametrize("sizes", [[2] * HELD, [HELD_BYTES // 2 + 1] * 2])
def test_a_topic_with_enough_waiting_is_passed_over_until_it_is_handed_over(
    bench: Bench, loop: asyncio.Runner, sizes: list[int]
) -> None:
    consumer = bench.consumer

    async def scenario() -> None:
        bench.deal(a=0, other=0)
        await bench.deliver(A, [Record(offset, b"x" * size) for offset, size in enumerate(sizes)])

    loop.run(scenario())
    assert not consumer._has_room(A.topic) and consumer._has_room(OTHER.topic)
    stale = Slice(A, records(0), consumer.generation - 1, 0)
    consumer.handed_over(stale)
    assert not consumer._has_room(A.topic)
    consumer.handed_over(Slice(A, [Record(0, b"x" * size) for size in sizes], consumer.generation, 0))
    assert consumer._has_room(A.topic) and consumer._held[A.topic] == 0 == consumer._held_bytes[A.topic]
