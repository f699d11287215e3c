"""The event-time watermark: up to which minute the rollups are complete enough to be judged.

Alerts are about event time, so they wait for the slowest partition that still has a backlog, however long its worker
is gone: what waits in Kafka must not come too late to be judged. When nothing is waiting, event time runs on with the
workers' reports, so that quiet streams settle too.

History that is published faster than it happened needs more: a message that is a second under way may be hours of
event time late. There, partitions that are read to their end hold the watermark too, with a generous allowance, until
all of them have been quiet for some seconds; then everything stored is settled. A live stream that falls quiet for the
night looks alike: there event time runs on for some hours, in which what was high is told to be over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)
HISTORY_LATENESS = timedelta(hours=2)  # event time, while history is being published
QUIET = timedelta(seconds=5)  # wall time without a newer event, after which history is taken to be over
RUNS_ON = timedelta(hours=3)  # event time after the last message of a live stream


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


def floor_minute(at: datetime) -> datetime:
    """The start of the UTC minute of an aware time."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def settled_until(
    rows: Sequence[Progress], now: datetime, *, max_lateness: timedelta, max_age: timedelta, replay: bool = False
) -> datetime | None:
    """The first minute that may still change; None where nothing is settled yet.

    Args:
        rows: every partition's progress.
        now: wall time; the watermark is never ahead of it.
        max_lateness: how late messages may come, in event time, and still be judged.
        max_age: with all events older than this, they are taken for history.
        replay: they are history whatever their age.
    """
    known = [row for row in rows if row.event_time is not None]
    if len(known) < len([row for row in rows if row.busy or row.event_time is not None]) or not known:
        return None  # some partition with a backlog has not been read at all
    newest = max(row.event_time for row in known if row.event_time is not None)
    waiting = [row.event_time for row in known if row.busy and row.event_time is not None]
    if replay or newest < now - max_age:
        if not waiting and all(_idle(row) >= QUIET for row in known):
            settled = floor_minute(min(newest, now)) + MINUTE
            reach = [_reach(row) for row in known if row.event_time == newest and _was_live(row, max_age)]
            if replay or not reach:
                return settled
            return max(settled, floor_minute(min(*reach, newest + RUNS_ON, now) - max_lateness))
        reached = min(row.event_time for row in known if row.event_time is not None)
        return floor_minute(min(reached, now) - HISTORY_LATENESS)
    reached = min(waiting) if waiting else max(map(_reach, known))
    return floor_minute(min(reached, now) - max_lateness)


def last_report(rows: Sequence[Progress]) -> datetime | None:
    """When a worker last reported, None where none ever did."""
    return max((row.updated_at for row in rows), default=None)


def _was_live(row: Progress, max_age: timedelta) -> bool:
    """Whether its newest event was no history when it came."""
    return row.event_time is not None and (row.seen_at or row.updated_at) - row.event_time <= max_age


def _reach(row: Progress) -> datetime:
    """How far its event time has run on by its worker's last report."""
    assert row.event_time is not None
    return row.event_time + _idle(row)


def _idle(row: Progress) -> timedelta:
    """For how long the partition's worker has found nothing newer."""
    return max(row.updated_at - (row.seen_at or row.updated_at), timedelta(0))
