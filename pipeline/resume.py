"""Where a worker starts to read a partition: Kafka's committed offset, against what the log still holds and what the
database remembers.

Usually that is the committed offset. It is not where retention has overtaken a stopped worker, where the topic was
made anew and offsets count from zero again, or where the database was restored from a backup that is older than the
offsets. None of these passes silently, and none skips a message that Kafka still has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import structlog

from pipeline.metrics import LOST
from pipeline.progress import Partition
from storage.progress import Progress

log = structlog.get_logger(__name__)


class Turn(StrEnum):
    """Why reading does not simply go on at the committed offset."""

    NONE = "none"
    RETENTION = "retention has overtaken the worker"
    RECREATED = "the topic was made anew"
    TRUNCATED = "the log ends before the committed offset"
    DATABASE_BEHIND = "the database is older than the committed offset"


@dataclass(frozen=True, slots=True)
class Start:
    """First offset to read, why it is not the committed one, and how many messages Kafka has deleted unread."""

    offset: int
    turn: Turn = Turn.NONE
    lost: int = 0


def decide_start(
    committed: int | None, beginning: int, end: int, remembered: Progress | None, topic_id: UUID | None
) -> Start:
    """Where to start one partition whose log holds [beginning, end). Pure.

    `remembered` is what the database knows of the partition, `topic_id` Kafka's id of the topic now (None: the broker
    gives none). Everything below `remembered.next_offset` of the same topic is stored.
    """
    known_id = remembered.topic_id if remembered else None
    if known_id and topic_id and known_id != topic_id:
        unread = max(0, remembered.end_offset - remembered.next_offset) if remembered else 0
        return Start(beginning, Turn.RECREATED, lost=unread + beginning)
    if committed is not None and committed > end:
        return Start(beginning, Turn.TRUNCATED)
    stored = remembered.next_offset if remembered and known_id == topic_id else None
    if stored is not None and stored > end:
        stored = None
    reached = max((offset for offset in (committed, stored) if offset is not None), default=None)
    if reached is not None and reached < beginning:
        return Start(beginning, Turn.RETENTION, lost=beginning - reached)
    if committed is None:
        return Start(beginning)
    if remembered is None:  # whoever committed that had another database, or this one has lost it
        return Start(beginning, Turn.DATABASE_BEHIND)
    if stored is not None and stored < committed:
        return Start(max(stored, beginning), Turn.DATABASE_BEHIND, lost=max(0, beginning - stored))
    return Start(max(committed, beginning))


def announce(partition: Partition, start: Start, committed: int | None) -> None:
    """Say loudly what is not as usual, and count what is lost."""
    if start.turn is Turn.NONE:
        return
    topic, number = partition
    fields = {"topic": topic, "partition": number, "committed": committed, "reading_from": start.offset}
    if start.lost:
        LOST.labels(topic, number).inc(start.lost)
        log.critical("messages_lost", reason=start.turn.value, lost=start.lost, **fields)
    else:
        log.error("offsets_moved", reason=start.turn.value, **fields)


def unexplained(
    holes: list[tuple[Partition, int, int]], beginnings: Mapping[Partition, int]
) -> list[tuple[Partition, int]]:
    """Of the offsets that Kafka passed over while reading, how many per partition retention has deleted.

    Offsets of transaction markers and of compacted records are passed over as well, but the log still reaches below
    them: nothing is lost there.
    """
    lost = []
    for partition, first, following in holes:
        deleted = min(beginnings.get(partition, 0), following) - first
        if deleted > 0:
            lost.append((partition, deleted))
    return lost
