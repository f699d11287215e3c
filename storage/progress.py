"""How far each Kafka partition is stored: written with every batch, read for lag and for the event-time watermark.

Alert evaluation follows this table, not the clock: a partition with a backlog holds evaluation back to its latest
stored event, and a partition that is read to its end lets event time run on with the worker's reports.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, and_, case, delete, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from storage.errors import DatabaseBehind
from storage.tables import stream_progress as table


@dataclass(frozen=True, slots=True)
class Progress:
    """One partition once a batch is committed: offsets, and the latest event time stored (UTC; None: none yet).

    `topic_id` is Kafka's id of the topic that the offsets count in; None: not known. `since` is the offset that its
    reader knows to be committed here already; None: nothing is known yet, and `next_offset` stands whatever was there.
    """

    topic: str
    partition: int
    next_offset: int
    end_offset: int
    event_time: datetime | None = None
    topic_id: UUID | None = None
    since: int | None = field(default=None, compare=False)


def record_progress(connection: Connection, progress: Sequence[Progress], *, now: datetime) -> None:
    """Store `progress` as of `now`; event times never go back, nor do offsets once `since` is known.

    Raises `DatabaseBehind` where less is stored than was committed before: the server has lost commits.
    """
    progress = _continued(connection, progress)
    if not progress:
        return
    rows = [
        {
            "topic": entry.topic,
            "partition": entry.partition,
            "next_offset": entry.next_offset,
            "end_offset": max(entry.end_offset, entry.next_offset),
            "event_time": entry.event_time,
            "seen_at": now if entry.event_time else None,
            "updated_at": now,
            "topic_id": entry.topic_id,
        }
        for entry in sorted(progress, key=lambda entry: (entry.topic, entry.partition))
    ]
    statement = insert(table)
    new = statement.excluded
    raised = and_(new.event_time.is_not(None), or_(table.c.event_time.is_(None), new.event_time > table.c.event_time))
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["topic", "partition"],
            set_={
                "next_offset": new.next_offset,
                "end_offset": new.end_offset,
                "event_time": func.greatest(table.c.event_time, new.event_time),
                "seen_at": case((raised, new.seen_at), else_=table.c.seen_at),
                "updated_at": new.updated_at,
                "topic_id": func.coalesce(new.topic_id, table.c.topic_id),
            },
        ),
        rows,
    )


def _continued(connection: Connection, progress: Sequence[Progress]) -> list[Progress]:
    """`progress` with its offsets raised to those in the table, whose rows stay locked until the transaction ends."""
    known = {(entry.topic, entry.partition) for entry in progress if entry.since is not None}
    if not known:
        return list(progress)
    key = (table.c.topic, table.c.partition)
    rows = connection.execute(
        select(*key, table.c.next_offset, table.c.topic_id)
        .where(tuple_(*key).in_(sorted(known)))
        .order_by(*key)
        .with_for_update()
    )
    stored = {(row.topic, row.partition): row for row in rows}
    continued = []
    for entry in progress:
        row = stored.get((entry.topic, entry.partition))
        if entry.since is None:
            continued.append(entry)
        elif row is None or row.next_offset < entry.since or (row.topic_id or entry.topic_id) != entry.topic_id:
            raise DatabaseBehind(
                f"the database has lost what it had committed of {entry.topic}/{entry.partition}, or has it of another "
                "topic of that name; a worker that starts now reads what is missing again"
            )
        else:
            continued.append(replace(entry, next_offset=max(entry.next_offset, row.next_offset)))
    return continued


def read_progress(connection: Connection) -> dict[tuple[str, int], Progress]:
    """What is stored of every partition, by (topic, partition)."""
    columns = (table.c.topic, table.c.partition, table.c.next_offset, table.c.end_offset, table.c.event_time)
    rows = connection.execute(select(*columns, table.c.topic_id))
    return {(row.topic, row.partition): Progress(*row) for row in rows}


def backlog(connection: Connection) -> int:
    """Messages that were waiting in Kafka at the workers' last reports."""
    behind = func.coalesce(func.sum(table.c.end_offset - table.c.next_offset), 0)
    return int(connection.execute(select(behind)).scalar_one())


def forget_progress(connection: Connection) -> None:
    """Drop all progress: for a broker that has lost its topics and counts offsets from zero again."""
    connection.execute(delete(table))
