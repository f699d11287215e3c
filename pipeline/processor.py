"""The heart of a worker: scores micro-batches of all streams, stores them, and only then lets them be committed.

    agents (Faust) ─► inbox, a bounded queue a stream ─► micro-batch ─► inference thread
                                      ─► writer thread: one transaction, and the dead letters ─► `stored`

Whoever scores them, messages go on in the order in which they came, so that offsets are stored in order. Faults that
pass are retried with back-off; what is left ends the worker, which a supervisor then starts again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from aiokafka.errors import KafkaError

from pipeline import metrics
from pipeline.batches import Classifier, RawMessage, ScoredBatch, score_batch
from pipeline.dead_letter_limit import DeadLetterLimit
from pipeline.dead_letters import DeadLetter
from pipeline.inbox import Inbox, Received
from pipeline.microbatch import Policy
from pipeline.progress import Partition, ProgressTracker
from pipeline.reasons import Reason
from pipeline.retry import retry
from pipeline.settings import Stream
from storage.errors import DocumentRefused, TransientFault
from storage.writer import BatchWriter, ScoredDocument

log = structlog.get_logger(__name__)

CLOCK_SKEW = timedelta(minutes=5)  # how far ahead of the clock an event time may be and still move event time on

Documents = Sequence[tuple[RawMessage, ScoredDocument]]


class Processor:
    """Runs micro-batches through the classifier and the writer. `submit` from the agents, `run` once.

    `streams` names the stream of each Kafka topic, `policy` bounds the micro-batches. `stored` is told the next offset
    of each partition, by generation, once all before it is in the database or in the dead-letter topic; `limit` says
    when so many are dead that the worker must stop.
    """

    def __init__(
        self,
        classifier: Classifier,
        writer: BatchWriter,
        progress: ProgressTracker,
        send_dead_letters: Callable[[Sequence[DeadLetter]], Awaitable[None]],
        stored: Callable[[Mapping[Partition, int], int], None],
        limit: DeadLetterLimit,
        *,
        streams: Mapping[str, Stream],
        policy: Policy,
        retry_for: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._classifier = classifier
        self._writer = writer
        self._progress = progress
        self._send_dead_letters = send_dead_letters
        self._stored = stored
        self._limit = limit
        self._streams = streams
        self._retry_for = retry_for
        self._clock = clock
        self._generation = 0
        self._inbox = Inbox(policy)
        self._outbox: asyncio.Queue[tuple[list[Received], ScoredBatch]] = asyncio.Queue(maxsize=1)
        self._inference = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="writer")

    async def submit(self, stream: Stream, messages: Sequence[Received]) -> None:
        """Hand messages over, in order; waits while their stream has two micro-batches waiting (back-pressure)."""
        await self._inbox.put(stream, messages)

    def new_generation(self, generation: int) -> Coroutine[object, object, None]:
        """Partitions are dealt out anew, from now on; await the rest, which drops what waits from before."""
        self._generation = generation
        return self._inbox.forget_before(generation)

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
            with metrics.SECONDS.labels("wait").time():
                batch = await self._inbox.take()
            metrics.BATCH_MESSAGES.observe(len(batch))
            metrics.BATCH_TOKENS.observe(sum(received.tokens for received in batch))
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
            with metrics.SECONDS.labels("write").time():
                await self._keep(batch, scored)
            self._acknowledge(batch)

    async def _keep(self, batch: Sequence[Received], scored: ScoredBatch) -> None:
        """Everything of the batch into the database or the dead-letter topic, or an error."""
        messages = [received.message for received in batch if received.generation == self._generation]
        dead = list(scored.dead)
        try:
            await self._store(scored.documents, messages)
        except DocumentRefused:
            dead += await self._isolate(scored.documents, messages)
        self._limit.observe([received.message for received in batch], dead)
        if dead:
            await self._bury(dead)

    def _acknowledge(self, batch: Sequence[Received]) -> None:
        """Let the offsets of the batch be committed, those of the current deal of partitions."""
        offsets: dict[Partition, int] = {}
        now = time.time()
        for received in batch:
            message = received.message
            metrics.LATENCY.observe(max(0.0, now - received.published))
            if received.generation == self._generation:
                offsets[(message.topic, message.partition)] = message.offset + 1
        self._stored(offsets, self._generation)

    async def _bury(self, dead: Sequence[DeadLetter]) -> None:
        await retry(
            lambda: self._send_dead_letters(dead),
            what="sending dead letters",
            on=(KafkaError, OSError),
            seconds=self._retry_for,
        )
        for letter in dead:
            metrics.DEAD_LETTERS.labels(letter.reason).inc()
            log.warning(
                "dead_letter", reason=letter.reason, error=letter.error, topic=letter.topic, offset=letter.offset
            )

    async def _store(self, documents: Documents, covers: Sequence[RawMessage]) -> None:
        """One transaction: the documents, and the progress up to the last message that `covers` names."""
        latest = self._clock() + CLOCK_SKEW
        times: dict[Partition, datetime] = {}
        for message, document in documents:
            partition = (message.topic, message.partition)
            if document.published_at <= latest:
                times[partition] = max(times.get(partition, document.published_at), document.published_at)
        progress = self._progress.after(covers, times)
        loop, generation = asyncio.get_running_loop(), self._generation
        rows = [document for _, document in documents]
        new = await retry(
            lambda: loop.run_in_executor(self._writing, self._writer.write, rows, progress),
            what="writing a batch",
            on=(TransientFault,),
            seconds=self._retry_for,
        )
        metrics.DOCUMENTS.inc(new)
        metrics.REPEATS.inc(len(rows) - new)
        if generation == self._generation:  # else these offsets may count in a topic that is gone
            self._progress.stored(progress)

    async def _isolate(self, documents: Documents, covers: Sequence[RawMessage]) -> list[DeadLetter]:
        """Write by halves after the database refused some value of the batch; what it refuses becomes dead letters."""
        refused: list[DeadLetter] = []
        waiting = [documents]
        while waiting:
            part = waiting.pop()
            try:
                await self._store(part, [])
            except DocumentRefused as error:
                if len(part) == 1:
                    refused.append(part[0][0].dead(Reason.DATABASE, f"the database refused it: {error}"))
                else:
                    waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
        await self._store([], covers)
        return refused
