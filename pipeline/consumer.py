"""Faust's Kafka consumer, made to hand over slices of records and to commit only what is stored.

    aiokafka ─► slices: consecutive records of one partition ─► Faust's conductor ─► agent ─► inbox
    processor, once a batch is in the database ─► `stored` ─► committed each second, and before a rebalance

What it changes in faust-streaming 0.15, each because of a fault that was seen:

- Faust carries every record by itself through five layers; a slice of up to 256 costs as much as one record did.
- Faust commits what agents have acknowledged, and never passes a hole that retention left in the offsets. Here the
  processor says up to where each partition is stored, and that is what is committed.
- Faust reads all topics in one loop and stands still while the buffer of one is full. Here a topic that has enough
  records waiting is passed over, so that a flood in one holds up no other, and memory is bounded by records and bytes.
- Records that were on their way while partitions were dealt out anew are dropped by Faust, or slip through. Here
  reading goes on at the offset that was delivered last, or where the new deal starts.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from pipeline.errors import Stuck
from pipeline.records import read_any_header
from pipeline.resume import Turn

log = structlog.get_logger(__name__)

SLICE = 256
"""Records read at a time."""
HELD = 1024
"""Records of one topic that may wait for the inbox before the topic is passed over."""
HELD_BYTES = 8 << 20
"""The same in bytes of their keys, values and headers."""
_LOOK = 0.02
"""Seconds until a topic that was passed over is looked at again; Faust's second would starve the classifier."""
_WAIT = 0.25
"""Seconds that an idle consumer waits for records before it looks around."""
_FETCH_WAIT = 30
"""Milliseconds that the broker may hold a fetch back. Messages were found to arrive up to half of it late, and Faust
asks for 1,500."""
_LAST_COMMIT = 2.0
"""Seconds that the last commit before a rebalance may take."""
_SEEK_WITHIN = 80.0
"""Seconds that a deal of partitions may take until it is read. After 90 Faust gives up without a word: the worker would
keep its partitions and never read them."""

Record = Any  # aiokafka's ConsumerRecord, without types
Starts = Mapping[TP, int]
StartReading = Callable[[Mapping[TP, int | None]], Awaitable[Starts]]
"""Given the committed offset of each partition dealt to this worker, where to start reading each."""


class Slice(ConsumerMessage):  # type: ignore[misc]
    """Consecutive records of one partition, as one message of Faust's; `generation` numbers the deal they came in."""

    __slots__ = ("generation", "records", "size")

    def __init__(self, tp: TP, records: Sequence[Record], generation: int, kafka_generation: int) -> None:
        first = records[0]
        super().__init__(
            tp.topic,
            tp.partition,
            first.offset,
            (first.timestamp or 0) / 1000.0,
            first.timestamp_type,
            None,
            None,
            b"",
            None,
            tp=tp,
            generation_id=kafka_generation,
        )
        self.records = records
        self.generation = generation
        self.size = sum(map(_size, records))


def _size(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers) if record.headers else 0
    return len(record.key or b"") + len(record.value or b"") + headers


class _PromptThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = _FETCH_WAIT
        return consumer


class SliceConsumer(Consumer):  # type: ignore[misc]
    """Delivers slices in order, without holes or repetitions within a deal of partitions. For the event loop only."""

    logger = Consumer.logger  # its comings and goings are Faust's to tell

    def __post_init__(self) -> None:
        read_any_header()
        self.generation = 0
        """Number of the current deal of partitions; what came in an earlier one is neither committed nor counted."""
        self.start_reading: StartReading
        """Set by the worker before it starts."""
        self.dealt: Callable[[int, frozenset[TP]], None] = lambda generation, partitions: None
        """Called with each new deal, before any record of it is read."""
        self.holes: list[tuple[TP, int, int]] = []
        """Offsets that Kafka passed over, as (partition, first, next one delivered), for the reporter to explain."""
        self._expected: dict[TP, int] = {}
        self._stored: dict[TP, int] = {}
        self._held: Counter[str] = Counter()
        self._held_bytes: Counter[str] = Counter()

    def _new_consumer_thread(self) -> _PromptThread:
        return _PromptThread(self, loop=self.loop, beacon=self.beacon)

    def stored(self, offsets: Mapping[tuple[str, int], int], generation: int) -> None:
        """Everything below these offsets is in the database or in the dead-letter topic, so they may be committed."""
        if generation == self.generation:
            for partition, offset in offsets.items():
                self._stored[TP(*partition)] = offset

    def handed_over(self, part: Slice) -> None:
        """A slice has left the agent: its topic has room again."""
        if part.generation == self.generation:
            self._held[part.topic] -= len(part.records)
            self._held_bytes[part.topic] -= part.size

    def committed(self) -> dict[tuple[str, int], int]:
        """The offsets of this deal that Kafka has confirmed."""
        known = self._committed_offset.items()
        return {(tp.topic, tp.partition): offset for tp, offset in known if offset is not None}

    def delivered(self) -> dict[tuple[str, int], int]:
        """The offset after the last record of each partition that was handed over in this deal."""
        return {(tp.topic, tp.partition): offset for tp, offset in self._expected.items()}

    def forget(self, topic: str) -> None:
        """Commit nothing of `topic` any more: its offsets count in a log that is gone."""
        for tp in [tp for tp in self._stored if tp.topic == topic]:
            del self._stored[tp]

    # What Faust calls: the deal of partitions.

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit what is stored, then leave what is on its way to whoever reads the partitions next."""
        try:
            async with asyncio.timeout(_LAST_COMMIT):
                await self.commit()
        except TimeoutError:
            log.warning("last_commit_timed_out", seconds=_LAST_COMMIT)
        self._deal(frozenset())  # before Faust forgets what is committed, or the next commit would repeat old offsets
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin a new deal; reading starts once `perform_seek` has set the offsets."""
        self._deal(frozenset(assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    def _deal(self, partitions: frozenset[TP]) -> None:
        self.generation += 1
        self._expected.clear()
        self._stored.clear()
        self._held.clear()
        self._held_bytes.clear()
        self.dealt(self.generation, partitions)

    async def perform_seek(self) -> None:
        """Set the first offset to read of every partition; raises what `start_reading` raises, and `Stuck`."""
        try:
            async with asyncio.timeout(_SEEK_WITHIN) as bound:
                await self._seek()
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise Stuck(f"Kafka and the database did not say within {_SEEK_WITHIN:.0f} s where to read on") from error

    async def _seek(self) -> None:
        generation = self.generation
        found = await self.seek_to_committed()
        committed = {
            TP(tp.topic, tp.partition): offset if offset is not None and offset >= 0 else None
            for tp, offset in found.items()
        }
        starts = await self.start_reading(committed)
        await self.seek_wait(starts)
        if generation == self.generation:
            self._committed_offset.update(committed)
            self._expected.update(starts)

    # What Faust calls: commits.

    def ack(self, message: ConsumerMessage) -> bool:
        """Faust is done with a slice; that commits nothing."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> list[TP]:
        return list(self._stored)

    def _new_offset(self, tp: TP) -> int | None:
        return self._stored.get(tp)

    def _should_commit(self, tp: TP, offset: int) -> bool:
        return bool(offset != self._committed_offset[tp])

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's guess at stalls follows single messages; the watchdog looks at what is stored instead."""

    # What Faust calls: reading.

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                generation = self.generation
                records, _ = await self._wait_next_records(_WAIT)
                for tp, found in (records or {}).items():
                    await self._deliver(TP(tp.topic, tp.partition), found, generation)
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109, Faust's own name
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        roomy = {tp for tp in active if self._has_room(tp.topic)}
        if not roomy:
            await self.sleep(_LOOK)
            return {}, roomy
        return await self._getmany(roomy, timeout if len(roomy) == len(active) else _LOOK), roomy

    def _has_room(self, topic: str) -> bool:
        return self._held[topic] < HELD and self._held_bytes[topic] < HELD_BYTES

    async def _deliver(self, tp: TP, records: Sequence[Record], generation: int) -> None:
        """Pass on what continues the partition; `generation` is that of the moment when reading began."""
        expected = self._expected.get(tp)
        if expected is None or not self.flow_active:
            return  # no deal, or a new one under way: `perform_seek` sets where it starts
        if generation != self.generation:
            await self._take_back(tp, expected)
            return
        if records[0].offset < expected:
            # Within a deal nothing comes twice but after a reset: the log has lost its tail, and what was acknowledged
            # since may have any of these offsets. What is stored already changes nothing when it comes again.
            log.error(
                "offsets_moved",
                reason=Turn.TRUNCATED.value,
                reading_from=records[0].offset,
                expected=expected,
                topic=tp.topic,
                partition=tp.partition,
            )
        elif records[0].offset > expected:
            self.holes.append((tp, expected, records[0].offset))
        part = Slice(tp, records, generation, self.app.consumer_generation_id)
        self._held[tp.topic] += len(records)
        self._held_bytes[tp.topic] += part.size
        self._expected[tp] = records[-1].offset + 1
        await self.wait_first(self.callback(part), self.suspend_flow.wait())

    async def _take_back(self, tp: TP, offset: int) -> None:
        """Read again from `offset`: whatever has been read since may belong to the deal before."""
        try:
            await self._thread.call_thread(self._thread._ensure_consumer().seek, tp, offset)
        except IllegalStateError:
            log.info("partition_gone_meanwhile", topic=tp.topic, partition=tp.partition)
