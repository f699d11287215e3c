"""The event-time watermark: up to which minute the rollups are complete enough to be judged.

Alerts are about event time, so they wait for the slowest partition that still has a backlog, not for the clock on the
wall. When nothing is waiting, event time runs on with the workers' reports: quiet streams settle too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Progress:
    """One row of `stream_progress`: how far a Kafka partition is stored. Times are aware.

    `seen_at` is the wall clock when `event_time` was last raised, `updated_at` that of the worker's last report.
    """

    topic: str
    partition: int
    next_offset: int
    end_offset: int
    event_time: datetime | None
    seen_at: datetime | None
    updated_at: datetime

    @property
    def busy(self) -> bool:
        """Whether messages were waiting when the row was written."""
        return self.next_offset < self.end_offset


@dataclass(frozen=True, slots=True)
class Watermark:
    """`settled_until` is the first minute that may still change (None: nothing is settled yet).

    `stalled` lists partitions that have a backlog but stopped moving, and therefore no longer hold the watermark.
    """

    settled_until: datetime | None
    stalled: tuple[Progress, ...] = ()


def floor_minute(at: datetime) -> datetime:
    """The start of the UTC minute of an aware time."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def watermark(
    rows: Sequence[Progress], now: datetime, *, max_lateness: timedelta, stalled_after: timedelta
) -> Watermark:
    """Where settled time ends. Minute m is settled once m + 1 min + `max_lateness` has passed in event time.

    Args:
        rows: every partition's progress.
        now: wall time; the watermark is never ahead of it.
        max_lateness: how late messages may come and still be counted.
        stalled_after: a busy row not written for longer is ignored, so that one dead partition cannot stop all alerts;
            zero: never, and evaluation waits until its backlog is stored.
    """
    late = tuple(row for row in rows if row.busy and now - row.updated_at > stalled_after)
    stalled = late if stalled_after else ()
    waiting = [row for row in rows if row.busy and row not in stalled]
    if waiting:
        times = [row.event_time for row in waiting if row.event_time is not None]
        reached = min(times) if len(times) == len(waiting) else None
    else:
        reached = max((clock for row in rows if (clock := _idle_clock(row)) is not None), default=None)
    if reached is None:
        return Watermark(None, stalled)
    return Watermark(floor_minute(min(reached, now) - max_lateness), stalled)


def _idle_clock(row: Progress) -> datetime | None:
    """A partition's newest event time, run on for as long as its worker has found nothing newer."""
    if row.event_time is None:
        return None
    return row.event_time + max(row.updated_at - (row.seen_at or row.updated_at), timedelta(0))
