"""The two stages behind the agents: inference and writing, overlapping, in order.

    agents ──► inbox ──► inference thread ──► outbox (1 micro-batch) ──► writer thread ──► acknowledge

A micro-batch holds messages of all streams: one forward call, one transaction. While one is written the next waits in
the outbox and a third is classified; what the inbox holds besides is bounded, so that is all that is ever in memory.
Offsets are acknowledged after the commit, in each stream's order of arrival, and never for a batch that failed. An
error that retrying does not cure ends `run`, and with it the process: a supervisor starts it again where it stood.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from aiokafka.errors import KafkaError

from pipeline.batches import Classifier, RawMessage, ScoredBatch, score_batch
from pipeline.dead_letters import DeadLetter
from pipeline.inbox import Inbox, Received
from pipeline.microbatch import Policy
from pipeline.progress import ProgressTracker
from pipeline.retry import retry
from pipeline.settings import Stream
from storage.errors import DatabaseUnreachable, DocumentRefused
from storage.writer import BatchWriter, ScoredDocument

log = structlog.get_logger(__name__)

CLOCK_SKEW = timedelta(minutes=5)  # how far ahead of the clock an event time may be and still move event time on


class Processor:
    """Runs micro-batches through the classifier and the writer. `submit` from the agents, `run` once.

    `streams` names the stream of each Kafka topic, `policy` bounds the micro-batches.
    """

    def __init__(
        self,
        classifier: Classifier,
        writer: BatchWriter,
        progress: ProgressTracker,
        send_dead_letter: Callable[[DeadLetter], Awaitable[None]],
        *,
        streams: Mapping[str, Stream],
        policy: Policy,
        retry_for: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._classifier = classifier
        self._writer = writer
        self._progress = progress
        self._send_dead_letter = send_dead_letter
        self._streams = streams
        self._retry_for = retry_for
        self._clock = clock
        self._inbox = Inbox(policy)
        self._outbox: asyncio.Queue[tuple[list[Received], ScoredBatch]] = asyncio.Queue(maxsize=1)
        self._inference = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="writer")

    async def submit(self, stream: Stream, messages: Sequence[Received]) -> None:
        """Hand messages over, in order; waits while their stream has two micro-batches waiting (back-pressure)."""
        await self._inbox.put(stream, messages)

    async def run(self) -> None:
        """Process until cancelled or until something fails for good; that error is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._infer())
                group.create_task(self._write())
        finally:
            self._inference.shutdown(wait=False, cancel_futures=True)
            self._writing.shutdown(wait=False, cancel_futures=True)

    async def _infer(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._inbox.take()
            scored = await loop.run_in_executor(
                self._inference,
                partial(
                    score_batch,
                    [received.message for received in batch],
                    streams=self._streams,
                    classifier=self._classifier,
                    now=self._clock(),
                ),
            )
            await self._outbox.put((batch, scored))

    async def _write(self) -> None:
        while True:
            batch, scored = await self._outbox.get()
            await self._progress.ready()
            messages = [received.message for received in batch]
            dead = list(scored.dead)
            try:
                await self._store(scored.documents, messages)
            except DocumentRefused:
                dead += await self._isolate(scored.documents, messages)
            for letter in dead:
                log.warning("dead_letter", error=letter.error, topic=letter.topic, offset=letter.offset)
                await retry(
                    lambda letter=letter: self._send_dead_letter(letter),  # type: ignore[misc]
                    what="sending a dead letter",
                    on=(KafkaError, OSError),
                    seconds=self._retry_for,
                )
            for received in batch:
                await received.acknowledge()

    async def _store(
        self, documents: Sequence[tuple[RawMessage, ScoredDocument]], covers: Sequence[RawMessage]
    ) -> None:
        """One transaction: the documents, and the progress up to the last message that `covers` names."""
        latest = self._clock() + CLOCK_SKEW
        times: dict[tuple[str, int], datetime] = {}
        for message, document in documents:
            partition = (message.topic, message.partition)
            if document.published_at <= latest:
                times[partition] = max(times.get(partition, document.published_at), document.published_at)
        progress = self._progress.after(covers, times)
        loop = asyncio.get_running_loop()
        rows = [document for _, document in documents]
        await retry(
            lambda: loop.run_in_executor(self._writing, self._writer.write, rows, progress),
            what="writing a batch",
            on=(DatabaseUnreachable,),
            seconds=self._retry_for,
        )
        self._progress.stored(progress)

    async def _isolate(
        self, documents: Sequence[tuple[RawMessage, ScoredDocument]], covers: Sequence[RawMessage]
    ) -> list[DeadLetter]:
        """Write one by one after the database refused some value of the batch; what it refuses becomes dead letters."""
        refused = []
        for message, document in documents:
            try:
                await self._store([(message, document)], [])
            except DocumentRefused as error:
                refused.append(message.dead(f"the database refused it: {error}"))
        await self._store([], covers)
        return refused
