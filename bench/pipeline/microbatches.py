"""The micro-batches that a worker makes of a backlog: what the engine alone is fed, so that both do the same work."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.pipeline.messages import Item
from pipeline.microbatch import Policy, Take, decide, estimated_tokens
from pipeline.settings import PipelineSettings, Stream


@dataclass(frozen=True, slots=True)
class Pending:
    """A text that waits; all have waited long enough."""

    tokens: int
    text: str
    arrived: float = 0.0


def micro_batches(items: Sequence[Item], settings: PipelineSettings) -> list[list[str]]:
    """The texts in the worker's micro-batches: its policy over one queue a stream, all of it waiting."""
    policy = Policy(settings.max_wait, settings.token_budget, settings.batch_size)
    waiting: dict[Stream, deque[Pending]] = {}
    for item in items:
        pending = Pending(estimated_tokens(item.value), item.message.scored_text)
        waiting.setdefault(item.stream, deque()).append(pending)
    made: list[list[str]] = []
    lead: Mapping[Stream, int] = {}
    while isinstance(take := decide(waiting, lead, policy=policy, now=math.inf), Take):
        made.append([waiting[stream].popleft().text for stream, count in take.messages.items() for _ in range(count)])
        lead = take.lead
    return made
