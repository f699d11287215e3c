"""The micro-batching policy: which messages are scored together, and when. Pure functions; time is passed in.

    agents ──► inbox: one queue a stream ──► decide ──► Take: so many from the head of each queue
                                                   └──► Wait: until then, or until another message comes

What it promises, whatever arrives:

- A micro-batch holds at most `token_budget` tokens and `batch_size` messages. Only a message that is larger than the
  budget by itself goes over it, and it goes alone.
- It goes at once when it is full, else when its oldest message has waited `max_wait`.
- Within a stream the order never changes, since offsets are acknowledged in order.
- Streams with a backlog share each micro-batch equally, by tokens, give or take one message; what one of them does not
  need goes to the others. So whoever keeps to its share waits for the micro-batch under way and is in the next one,
  whatever floods the others.

The shares are those of start-time fair queuing (Goyal, Vin and Cheng 1996, https://doi.org/10.1145/248156.248171): the
next place goes to the stream that has been served least. All that is remembered is each stream's lead over the place
given last, one message at most: nobody saves up credit while idle and spends it on a flood.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.message import MAX_BYTES
from pipeline.settings import Stream

MAX_TOKENS = 256
"""Tokens of a text that the classifier reads unless its settings say otherwise; the rest is cut off."""

_ENVELOPE = 100
_BYTES_PER_TOKEN = 3.5


def estimated_tokens(value: bytes | None, key: bytes | None = None) -> int:
    """Tokens that a Kafka value costs the classifier, guessed from its length before it is decoded; 1..256.

    A value that is too large to be valid counts in full, so that it goes alone and few of them wait in memory; so does
    a key that no source's name could be.

    Over tweets, headlines and news flashes, English and Chinese, the shipped tokenizer takes 3.3 to 5.0 bytes of UTF-8
    a token, and the rest of the JSON is about 100 bytes: all in all the guess is 0.9 to 1.6 times the truth. Chinese
    that is escaped to ASCII (`\\u4e2d`) is taken for twice of what it is: smaller micro-batches, and no harm.
    """
    size = len(value or b"")
    if key and len(key) > MAX_BYTES:
        size += len(key)
    tokens = max(round((size - _ENVELOPE) / _BYTES_PER_TOKEN), 1)
    return min(tokens, MAX_TOKENS) if size <= MAX_BYTES else tokens


class Waiting(Protocol):
    """What the policy knows of a message."""

    @property
    def arrived(self) -> float:
        """When it came in, in monotonic seconds; not earlier than the one before it in its stream."""

    @property
    def tokens(self) -> int:
        """What it costs; at least 1."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds of a micro-batch; `max_wait` is in seconds and counts while the classifier is free."""

    max_wait: float
    token_budget: int
    batch_size: int

    def charge(self, message: Waiting) -> int:
        """What a message counts for in its stream's share: its tokens, but at least its part of `batch_size`."""
        return max(message.tokens, self.token_budget // self.batch_size)


@dataclass(frozen=True, slots=True)
class Take:
    """Score these now: so many messages from the head of each stream's queue; `lead` is for the next decision."""

    messages: dict[Stream, int]
    lead: dict[Stream, int]


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again at `until` (monotonic seconds; None: no message waits), or as soon as another message has come."""

    until: float | None


def decide(
    waiting: Mapping[Stream, Iterable[Waiting]], lead: Mapping[Stream, int], *, policy: Policy, now: float
) -> Take | Wait:
    """What a free classifier does next. `waiting` in order of arrival; `lead` as the last `Take` left it, or empty."""
    queues = {stream: iter(messages) for stream, messages in waiting.items()}
    heads = {stream: head for stream, queue in queues.items() if (head := next(queue, None)) is not None}
    if not heads:
        return Wait(None)
    due = min(head.arrived for head in heads.values()) + policy.max_wait
    take, full = _fill(heads, queues, lead, policy)
    return take if full or now >= due else Wait(due)


def _fill(
    heads: dict[Stream, Waiting], rest: Mapping[Stream, Iterator[Waiting]], lead: Mapping[Stream, int], policy: Policy
) -> tuple[Take, bool]:
    """The largest micro-batch that the bounds allow, and whether they stopped it rather than a lack of messages."""
    served = dict.fromkeys(heads, 0) | dict(lead)
    taken = dict.fromkeys(heads, 0)
    messages = tokens = last = 0
    while heads:
        stream = min(heads, key=lambda stream: (served[stream], heads[stream].arrived))
        head = heads[stream]
        if messages == policy.batch_size or (messages and tokens + head.tokens > policy.token_budget):
            break
        messages, tokens, last = messages + 1, tokens + head.tokens, served[stream]
        taken[stream] += 1
        served[stream] += policy.charge(head)
        if (following := next(rest[stream], None)) is not None:
            heads[stream] = following
        else:
            del heads[stream]
    full = bool(heads) or messages == policy.batch_size or tokens >= policy.token_budget
    ahead = {stream: amount - last for stream, amount in served.items() if amount > last}
    return Take({stream: count for stream, count in taken.items() if count}, ahead), full
