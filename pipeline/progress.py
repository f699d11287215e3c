"""What this worker knows of its partitions: where they end, what is stored, and whether they still move.

Feeds the table `stream_progress` with every batch and once a second, and tells the watchdog which backlog stands still.
"""

import asyncio
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pipeline.batches import RawMessage
from storage.progress import Progress

Partition = tuple[str, int]

DRAINED_AFTER = 5.0  # seconds


class ProgressTracker:
    """Offsets of the assigned partitions. Used from the event loop's thread only."""

    def __init__(self) -> None:
        self._next: dict[Partition, int] = {}
        self._end: dict[Partition, int] = {}
        self._durable: dict[Partition, int] = {}
        self._topic_ids: Mapping[str, UUID | None] = {}
        self._assigned: frozenset[Partition] = frozenset()
        self._moved: dict[Partition, float] = {}
        self._positions: dict[Partition, int] = {}
        self._drained: dict[Partition, tuple[float, int]] = {}
        self._ready = asyncio.Event()

    async def ready(self) -> None:
        """Wait until every assigned partition has been reported once, so that none is missing from the watermark."""
        await self._ready.wait()

    @property
    def is_ready(self) -> bool:
        """Whether partitions are assigned and each has been reported once."""
        return self._ready.is_set()

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Start over with the partitions that the group's coordinator gave us."""
        self._assigned = frozenset(partitions)
        self._topic_ids = {}
        self._next = {}
        self._end = {}
        self._durable = {}
        self._moved = {}
        self._positions = {}
        self._drained = {}
        self._ready.clear()

    def start(
        self,
        offsets: Mapping[Partition, int],
        topic_ids: Mapping[str, UUID | None],
        durable: Mapping[Partition, int] | None = None,
    ) -> None:
        """Reading starts at `offsets`, which count in the topics of these ids: everything below is stored.

        `durable` is what the database has said of the partitions that simply go on.
        """
        self._durable = dict(durable or {})
        self._topic_ids = topic_ids
        self._next = {partition: offset for partition, offset in offsets.items() if partition in self._assigned}

    @property
    def assigned(self) -> frozenset[Partition]:
        return self._assigned

    @property
    def stored_offsets(self) -> dict[Partition, int]:
        """The first offset of each partition that is not stored yet."""
        return dict(self._next)

    @property
    def ends(self) -> dict[Partition, int]:
        """Where each partition ended at the last look."""
        return dict(self._end)

    def after(self, messages: Sequence[RawMessage], times: Mapping[Partition, datetime]) -> list[Progress]:
        """The progress once `messages` are stored, with their latest event times by partition.

        Partitions that were taken from this worker meanwhile are left to whoever reads them now.
        """
        offsets: dict[Partition, int] = {}
        for message in messages:
            partition = (message.topic, message.partition)
            offsets[partition] = max(offsets.get(partition, 0), message.offset + 1)
        for partition, offset in offsets.items():
            if offset < self._next.get(partition, 0):
                self._durable.pop(partition, None)  # the log has lost its tail: the table is to follow
        return [
            self._progress(partition, offset, self._end.get(partition, offset), times.get(partition))
            for partition, offset in offsets.items()
            if partition in self._assigned
        ]

    def _progress(self, partition: Partition, stored: int, end: int, at: datetime | None = None) -> Progress:
        return Progress(
            *partition, stored, end, at, self._topic_ids.get(partition[0]), since=self._durable.get(partition)
        )

    def stored(self, progress: Sequence[Progress]) -> None:
        """Remember what a commit has made durable."""
        for entry in progress:
            self._next[(entry.topic, entry.partition)] = entry.next_offset
        self.durable(progress)

    def durable(self, progress: Iterable[Progress]) -> None:
        """These offsets are committed in the database, and must still be there at the next report."""
        for entry in progress:
            partition = (entry.topic, entry.partition)
            self._durable[partition] = max(self._durable.get(partition, 0), entry.next_offset)

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
        its end. Partitions that have not started (`start`) are passed over: the consumer's position says nothing yet.
        """
        for partition, end in ends.items():
            stored = self._next.get(partition)
            if stored is None:
                continue
            self._end[partition] = end
            if stored >= end or partition not in drained or positions.get(partition, 0) < end:
                self._drained.pop(partition, None)
            elif self._drained.setdefault(partition, (now, stored))[1] != stored:
                self._drained[partition] = (now, stored)
            elif now - self._drained[partition][0] >= DRAINED_AFTER:
                self._next[partition] = end
        return [self._progress(partition, self._next[partition], end) for partition, end in self._end.items()]

    def reported(self) -> None:
        """The observation is in the database: batches may be written."""
        if self._assigned and self._assigned <= self._next.keys() & self._end.keys():
            self._ready.set()

    def standing_still(self, *, now: float, bound: float) -> list[Partition]:
        """Partitions with a backlog whose stored offset has not moved for `bound` seconds (`now`: `Watchdog.clock`)."""
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
