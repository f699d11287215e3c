"""Faust's Kafka consumer, made so that a topic with a full buffer holds up no other topic.

Faust reads all topics in one loop. Left alone, it takes a megabyte of each partition at once and then stands still
until the last of it fits into a buffer: with a backlog in one topic that takes as long as ten thousand messages take
to be scored, and the other topics are not read meanwhile. Here it reads a little at a time. A partition whose buffer
is four fifths full is passed over until the buffer is down to two fifths; the last fifth has room for what was read of
each partition before, so that the loop never stands still.
"""

from typing import Any

from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

POLLED = 32
"""Messages read at a time."""
_LOOK = 0.02
"""Seconds until a partition that was passed over is looked at again; Faust's second would starve the classifier."""


def buffer_size(partitions: int) -> int:
    """Messages that the buffer of a topic must have room for; `partitions` of it are read by one worker at most."""
    return max(1024, 5 * POLLED * partitions)


class PromptConsumer(Consumer):  # type: ignore[misc]
    """Looks often whether there is room again."""

    async def _wait_next_records(self, timeout: float) -> tuple[Any, set[TP]]:  # noqa: ASYNC109, Faust's own name
        if self.flow_active and not self._get_active_partitions():
            await self.sleep(_LOOK)
            return {}, set()
        return await super()._wait_next_records(min(timeout, _LOOK))  # type: ignore[no-any-return]
