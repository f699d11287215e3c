"""Where messages wait for their micro-batch: one bounded queue a stream, between the agents and the inference thread.

A stream waits with at most two micro-batches and one delivery of its agent; then `put` waits, and with it Kafka. What
goes next is decided only when the classifier asks for it, so that late messages of one stream need not stand in line
behind a backlog of the other.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pipeline.batches import RawMessage
from pipeline.microbatch import Policy, Take, decide
from pipeline.settings import Stream

_MICRO_BATCHES = 2


class Received(msgspec.Struct, frozen=True):
    """A message from Kafka: when it came in (monotonic seconds), what it costs, and in which deal of partitions.

    `published` is the producer's timestamp in seconds since 1970.
    """

    message: RawMessage
    arrived: float
    tokens: int
    generation: int = 0
    published: float = 0.0


class Inbox:
    """Messages that wait, in order. `put` from one agent a stream, `take` from one place."""

    def __init__(self, policy: Policy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._waiting: dict[Stream, deque[Received]] = {}
        self._tokens: dict[Stream, int] = {}
        self._lead: Mapping[Stream, int] = {}
        self._changed = asyncio.Condition()

    async def put(self, stream: Stream, messages: Sequence[Received]) -> None:
        """Add messages behind those of their stream; waits while it has two micro-batches waiting."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(stream))
            self._waiting.setdefault(stream, deque()).extend(messages)
            self._tokens[stream] = self._tokens.get(stream, 0) + sum(message.tokens for message in messages)
            self._changed.notify_all()

    async def take(self) -> list[Received]:
        """The next micro-batch, as soon as the policy lets it go; each stream's messages in order."""
        async with self._changed:
            while True:
                decision = decide(self._waiting, self._lead, policy=self._policy, now=self._clock())
                if isinstance(decision, Take):
                    return self._remove(decision)
                await self._another(decision.until)

    async def forget_before(self, generation: int) -> None:
        """Drop what came in earlier deals of partitions: whoever reads them now has it again."""
        async with self._changed:
            for stream, waiting in self._waiting.items():
                kept = deque(received for received in waiting if received.generation >= generation)
                self._waiting[stream] = kept
                self._tokens[stream] = sum(received.tokens for received in kept)
            self._changed.notify_all()

    async def _another(self, until: float | None) -> None:
        """Return when a message has come, and at `until` at the latest."""
        try:
            async with asyncio.timeout(None if until is None else until - self._clock()):
                await self._changed.wait()
        except TimeoutError:
            return

    def _has_room(self, stream: Stream) -> bool:
        return (
            len(self._waiting.get(stream, ())) < _MICRO_BATCHES * self._policy.batch_size
            and self._tokens.get(stream, 0) < _MICRO_BATCHES * self._policy.token_budget
        )

    def _remove(self, take: Take) -> list[Received]:
        taken = []
        for stream, count in take.messages.items():
            own = [self._waiting[stream].popleft() for _ in range(count)]
            self._tokens[stream] -= sum(message.tokens for message in own)
            taken += own
        self._lead = take.lead
        self._changed.notify_all()
        return taken
