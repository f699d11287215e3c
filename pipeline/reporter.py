"""Once a second, what Kafka says of this worker's partitions: into `stream_progress`, the metrics, and the log.

It starts each deal of partitions at the right offsets, explains offsets that Kafka passed over, notices topics that
were made anew, and raises `Stuck` when a backlog stands still.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from itertools import count
from uuid import UUID

import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from pipeline import metrics
from pipeline.consumer import SliceConsumer
from pipeline.errors import BrokerUnreachable, Stuck, TopicRecreated
from pipeline.progress import Partition, ProgressTracker
from pipeline.resume import Turn, announce, decide_start, unexplained
from pipeline.retry import retry
from storage.errors import TransientFault
from storage.progress import Progress

log = structlog.get_logger(__name__)

_IDS_EVERY = 3  # seconds between looks at the topics' ids
_ANSWER = 10.0  # seconds that a look or a report may take
_UNREACHABLE = (KafkaError, OSError, TimeoutError, BrokerUnreachable, TransientFault)


class Reporter:
    """Watches over the consumer's partitions. For the event loop's thread; `read` and `write` go to the database.

    `bound` is in seconds of `clock`, in which a stopped process does not grow older.
    """

    def __init__(
        self,
        consumer: SliceConsumer,
        tracker: ProgressTracker,
        *,
        read: Callable[[], dict[Partition, Progress]],
        write: Callable[[list[Progress]], None],
        topics: Collection[str],
        topic_ids: Callable[[], dict[str, UUID | None]],
        bound: float,
        patience: float,
        clock: Callable[[], float],
    ) -> None:
        self._consumer = consumer
        self._tracker = tracker
        self._read = read
        self._write = write
        self._topics = topics
        self._read_ids = topic_ids
        self._ids: dict[str, UUID | None] = {}
        self._bound = bound
        self._patience = patience
        self._clock = clock
        self.written_at: float | None = None
        """When the database last took a report (monotonic)."""
        self._dealt = asyncio.Event()
        self._writing: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Report until cancelled. Raises `Stuck`, `TopicRecreated`, and faults that stay."""
        failing_since: float | None = None
        for turn in count():
            try:
                await self._report()
                if turn % _IDS_EVERY == 0:
                    await self._check_ids()
                failing_since = None
            except _UNREACHABLE as error:
                failing_since = failing_since or self._clock()
                why = f"{type(error).__name__}: {error}".splitlines()[0]
                log.warning("progress_not_reported", error=why)
                if self._clock() - failing_since > self._bound:
                    raise Stuck(f"no progress reported for {self._bound:.0f} s: {why}") from error
            still = self._tracker.standing_still(now=self._clock(), bound=self._bound)
            if still:
                raise Stuck(f"no progress for {self._bound:.0f} s on {', '.join(f'{t}/{p}' for t, p in still)}")
            await self._a_second()

    async def _a_second(self) -> None:
        """Wait a second, less where partitions are dealt anew: batches wait for the first report of them."""
        self._dealt.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._dealt.wait()

    async def start_reading(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """Where to start each partition of a new deal; waits for broker and database within bounds."""
        tried = retry(
            lambda: self._decide(committed),
            what="finding where to start reading",
            on=_UNREACHABLE,
            seconds=self._patience,
        )
        starts = await tried
        self._dealt.set()
        return starts

    async def _decide(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        async with asyncio.timeout(30):
            beginnings = await self._consumer.earliest_offsets(*committed)
            ends = await self._consumer.highwaters(*committed)
            ids = await asyncio.to_thread(self._read_ids)
            remembered = await asyncio.to_thread(self._read)
        if missing := {tp.topic for tp in committed} - ids.keys():
            raise BrokerUnreachable(f"the broker does not describe {', '.join(sorted(missing))}")
        starts, durable = {}, {}
        for tp, offset in committed.items():
            partition = (tp.topic, tp.partition)
            start = decide_start(offset, beginnings[tp], ends[tp] or 0, remembered.get(partition), ids.get(tp.topic))
            announce(partition, start, offset)
            starts[tp] = start.offset
            known = remembered.get(partition)
            if (
                known
                and start.turn is Turn.NONE
                and known.topic_id == ids[tp.topic]
                and known.next_offset <= (ends[tp] or 0)
            ):
                durable[partition] = min(start.offset, known.next_offset)
        self._ids = ids
        self._tracker.start({(tp.topic, tp.partition): offset for tp, offset in starts.items()}, ids, durable)
        log.info("reading_from", offsets={f"{tp.topic}/{tp.partition}": starts[tp] for tp in sorted(starts)})
        return starts

    async def _check_ids(self) -> None:
        """Raise `TopicRecreated` where a topic is another one than when its partitions were dealt."""
        async with asyncio.timeout(_ANSWER):
            now = await asyncio.to_thread(self._read_ids)
        for topic in self._topics:
            known = self._ids.get(topic)
            if topic not in now:
                log.error("topic_missing", topic=topic, hint="it was deleted; run `newsquake topics create`")
            elif known and now[topic] and now[topic] != known:
                self._consumer.forget(topic)
                raise TopicRecreated(f"the topic {topic} was deleted and made anew; starting again from its beginning")

    async def _report(self) -> None:
        assigned, consumer = self._tracker.assigned, self._consumer
        if not assigned:
            return
        deal = consumer.generation
        partitions = [TP(topic, number) for topic, number in sorted(assigned)]
        async with asyncio.timeout(_ANSWER):
            listed = await consumer.highwaters(*partitions)
            positions = {(tp.topic, tp.partition): await consumer.position(tp) for tp in partitions}
            await self._explain_holes()
        known = {partition: position for partition, position in positions.items() if position is not None}
        # Tansu lists the last batch as one message; what the consumer has fetched knows better.
        ends = {(tp.topic, tp.partition): max(listed.get(tp) or 0, consumer.highwater(tp) or 0) for tp in partitions}
        progress = self._tracker.observe(ends, known, self._drained(), time.monotonic())
        await self._written(progress)
        self.written_at = time.monotonic()
        self._measure()
        if deal == consumer.generation:
            self._tracker.durable(progress)
            self._tracker.reported()

    async def _written(self, progress: list[Progress]) -> None:
        """Write it; raises `TimeoutError` where the database hangs, which must not keep `run` from looking.

        A write that hangs is waited for by the next report, not left behind: it could end much later, and would hold
        its connection.
        """
        async with asyncio.timeout(_ANSWER):
            if self._writing is not None:
                await self._end_of(self._writing)
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, progress))
            await self._end_of(self._writing)

    async def _end_of(self, writing: asyncio.Future[None]) -> None:
        await asyncio.wait([writing])
        self._writing = None
        await writing

    def _drained(self) -> set[Partition]:
        """Partitions of which everything that was delivered is stored."""
        stored = self._tracker.stored_offsets
        return {
            partition for partition, offset in self._consumer.delivered().items() if stored.get(partition) == offset
        }

    async def _explain_holes(self) -> None:
        holes = list(self._consumer.holes)
        if not holes:
            return
        found = await self._consumer.earliest_offsets(*{tp for tp, _, _ in holes})
        del self._consumer.holes[: len(holes)]  # only now, or a call that fails would hide what is lost
        beginnings = {(tp.topic, tp.partition): offset for tp, offset in found.items()}
        for (topic, number), lost in unexplained([((t.topic, t.partition), a, b) for t, a, b in holes], beginnings):
            metrics.LOST.labels(topic, number).inc(lost)
            log.critical(
                "messages_lost", reason="retention has overtaken the worker", lost=lost, topic=topic, partition=number
            )

    def _measure(self) -> None:
        stored, committed = self._tracker.stored_offsets, self._consumer.committed()
        for partition, end in self._tracker.ends.items():
            metrics.END.labels(*partition).set(end)
            metrics.STORED.labels(*partition).set(stored.get(partition, 0))
            metrics.LAG.labels(*partition).set(max(0, end - stored.get(partition, 0)))
            if partition in committed:
                metrics.COMMITTED.labels(*partition).set(committed[partition])
