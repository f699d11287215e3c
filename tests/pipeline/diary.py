"""The processor at work, with a database, a classifier and a broker that keep a diary of what they were asked for."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from pipeline.batches import RawMessage
from pipeline.dead_letter_limit import DeadLetterLimit
from pipeline.dead_letters import DeadLetter
from pipeline.inbox import Received
from pipeline.microbatch import Policy
from pipeline.processor import Processor
from pipeline.progress import ProgressTracker
from pipeline.settings import Stream
from storage.errors import DocumentRefused
from storage.progress import Progress
from storage.writer import BatchWriter, ScoredDocument
from tests.pipeline.test_batches import Verdict

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
STREAMS: dict[str, Stream] = {"n": "news", "c": "comment"}
POLICY = Policy(max_wait=0.005, token_budget=100, batch_size=10)


class Diary(BatchWriter):
    """A writer, a classifier and a broker that note down what they were asked for; they refuse and hang on request."""

    model_id = "diary"

    def __init__(self) -> None:
        self.scored: list[list[str]] = []
        self.written: list[list[str]] = []
        self.events: list[str] = []
        self.streams: dict[str, str] = {}
        self.offsets: dict[str, int] = {}
        self.generations: list[int] = []
        self.refused = ""
        self.broken = False
        self.busy, self.free = threading.Event(), threading.Event()
        self.free.set()
        self.moved = asyncio.Event()

    def score(self, texts: Sequence[str]) -> list[Verdict]:
        self.busy.set()
        self.free.wait(5)
        self.scored.append(list(texts))
        return [Verdict() for _ in texts]

    def write(self, batch: Sequence[ScoredDocument], progress: Sequence[Progress] = ()) -> int:
        if self.broken:
            raise RuntimeError("the disk is full")
        if self.refused in [document.text for document in batch]:
            raise DocumentRefused("no such value")
        self.written.append([document.text for document in batch])
        self.streams |= {document.text: document.stream for document in batch}
        self.events += [f"stored {document.text}" for document in batch]
        return len(batch)

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        self.events += [f"dead {letter.topic}{letter.offset}" for letter in letters]

    def acknowledge(self, offsets: Mapping[tuple[str, int], int], generation: int) -> None:
        """Offsets up to which all is stored, as the names of the messages that are newly below them."""
        for (topic, _), offset in offsets.items():
            before = self.offsets.get(topic, 0)
            assert offset > before, "offsets never go back"
            self.events += [f"acknowledged {topic}{number}" for number in range(before, offset)]
            self.offsets[topic] = offset
        self.generations.append(generation)
        self.moved.set()

    async def until(self, count: int) -> None:
        """Wait until so many messages are acknowledged."""
        async with asyncio.timeout(5):
            while len(self.acknowledged) < count:
                self.moved.clear()
                await self.moved.wait()

    def received(self, topic: str, *offsets: int, tokens: int = 10, generation: int = 0) -> list[Received]:
        """Messages whose text is their topic and offset, in hand now."""
        now = asyncio.get_running_loop().time()
        return [Received(raw(topic, offset), now, tokens, generation) for offset in offsets]

    @property
    def acknowledged(self) -> list[str]:
        return [event.split()[1] for event in self.events if event.startswith("acknowledged")]


def raw(topic: str, offset: int) -> RawMessage:
    fields = {"id": str(offset), "source": topic, "published_at": "2026-03-10T12:00:00Z", "text": f"{topic}{offset}"}
    return RawMessage(topic, 0, offset, b"s", json.dumps(fields).encode())


def start(diary: Diary, policy: Policy = POLICY) -> tuple[Processor, "asyncio.Task[None]"]:
    """A processor at work."""
    tracker = ProgressTracker()
    partitions = [(topic, 0) for topic in STREAMS]
    tracker.assign(partitions)
    tracker.start(dict.fromkeys(partitions, 0), {})
    tracker.observe(dict.fromkeys(partitions, 99), dict.fromkeys(partitions, 0), (), 0)
    tracker.reported()
    processor = Processor(
        diary,
        diary,
        tracker,
        diary.send,
        diary.acknowledge,
        DeadLetterLimit(0.5, 5),
        streams=STREAMS,
        policy=policy,
        retry_for=1,
        clock=lambda: NOW,
    )
    return processor, asyncio.create_task(processor.run())


@asynccontextmanager
async def running(diary: Diary, policy: Policy = POLICY) -> AsyncIterator[Processor]:
    """A processor that is cancelled at the end, and must have worked until then."""
    processor, run = start(diary, policy)
    yield processor
    assert not run.done(), run
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert run.cancelled(), run
