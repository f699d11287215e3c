"""What this worker knows of its partitions: where they end, what is stored, and whether they still move.

Feeds the table `stream_progress` with every batch and once a second, and is the watchdog: a consumer that has stopped
silently shows as lag that stands still.
"""

import asyncio
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime

from pipeline.batches import RawMessage
from storage.progress import Progress

Partition = tuple[str, int]

DRAINED_AFTER = 5.0  # seconds


class ProgressTracker:
    """Offsets of the assigned partitions. Used from the event loop's thread only."""

    def __init__(self) -> None:
        self._next: dict[Partition, int] = {}
        self._end: dict[Partition, int] = {}
        self._assigned: frozenset[Partition] = frozenset()
        self._moved: dict[Partition, float] = {}
        self._positions: dict[Partition, int] = {}
        self._drained: dict[Partition, tuple[float, int]] = {}
        self._ready = asyncio.Event()

    async def ready(self) -> None:
        """Wait until every assigned partition has been reported once, so that none is missing from the watermark."""
        await self._ready.wait()

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Start over with the partitions that the group's coordinator gave us."""
        self._assigned = frozenset(partitions)
        self._next = {}
        self._end = {}
        self._moved = {}
        self._positions = {}
        self._drained = {}
        self._ready.clear()

    @property
    def assigned(self) -> frozenset[Partition]:
        return self._assigned

    def after(self, messages: Sequence[RawMessage], times: Mapping[Partition, datetime]) -> list[Progress]:
        """The progress once `messages` are stored, with their latest event times by partition.

        Partitions that were taken from this worker meanwhile are left to whoever reads them now.
        """
        offsets: dict[Partition, int] = {}
        for message in messages:
            partition = (message.topic, message.partition)
            offsets[partition] = max(offsets.get(partition, 0), message.offset + 1)
        return [
            Progress(topic, number, offset, self._end.get((topic, number), offset), times.get((topic, number)))
            for (topic, number), offset in offsets.items()
            if (topic, number) in self._assigned
        ]

    def stored(self, progress: Iterable[Progress]) -> None:
        """Remember what a commit has made durable."""
        for entry in progress:
            self._next[(entry.topic, entry.partition)] = entry.next_offset

    def observe(
        self,
        ends: Mapping[Partition, int],
        positions: Mapping[Partition, int],
        drained: Container[Partition],
        now: float,
    ) -> list[Progress]:
        """Take in what the consumer says: the partitions' ends, its own positions, and where it holds nothing back.

        The last offsets of a partition need not be messages: transactions end with markers. A partition that the
        consumer has read to its end, with nothing left to acknowledge for some seconds (`now`: monotonic), is stored to
        its end.
        """
        for partition, end in ends.items():
            if partition not in self._assigned:
                continue
            self._end[partition] = end
            stored = self._next.setdefault(partition, positions.get(partition, 0))
            if stored >= end or partition not in drained or positions.get(partition, 0) < end:
                self._drained.pop(partition, None)
            elif self._drained.setdefault(partition, (now, stored))[1] != stored:
                self._drained[partition] = (now, stored)
            elif now - self._drained[partition][0] >= DRAINED_AFTER:
                self._next[partition] = end
        return [Progress(topic, number, self._next[topic, number], end) for (topic, number), end in self._end.items()]

    def reported(self) -> None:
        """The observation is in the database: batches may be written."""
        if self._assigned and self._assigned <= self._next.keys() & self._end.keys():
            self._ready.set()

    def standing_still(self, *, now: float, bound: float) -> list[Partition]:
        """Partitions with a backlog whose stored offset has not moved for `bound` seconds (`now`: monotonic)."""
        still = []
        for partition, end in self._end.items():
            position = self._next.get(partition, 0)
            before = self._positions.get(partition)
            if position >= end or before != position:
                self._positions[partition] = position
                self._moved[partition] = now
            elif now - self._moved[partition] > bound:
                still.append(partition)
        return still
