"""Days of documents as partitions: made ahead of time, listed, dropped.

Works as `newsquake_writer`: the functions in the database own the tables, the caller need not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Engine, text

AHEAD = 2  # days after today that have their partitions
MILLENNIUM = datetime(2000, 1, 1, tzinfo=UTC)  # days before share a partition

_ENSURE = text("SELECT ensure_document_day(:day)")
_DAYS = text("SELECT day, bytes FROM document_days() ORDER BY day")


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day of documents, scores and their indexes on disk."""

    day: date
    bytes: int


def ensure_days(engine: Engine, days: Iterable[date]) -> None:
    """Make the partitions of `days` unless they exist, a short transaction each."""
    for day in sorted(days):
        with engine.begin() as connection:
            connection.execute(_ENSURE, {"day": day})


def ensure_ahead(engine: Engine, now: datetime) -> None:
    """Make the partitions of today (UTC) and of the next two days, so that no batch waits for one at midnight."""
    ensure_days(engine, (now.date() + timedelta(days=ahead) for ahead in range(AHEAD + 1)))


def document_days(engine: Engine) -> list[Day]:
    """The days that have partitions, oldest first; days before 2000 share one, which is not listed."""
    with engine.connect() as connection:
        return [Day(row.day, row.bytes) for row in connection.execute(_DAYS)]
