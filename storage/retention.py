"""Retention: whole days of documents are dropped, a partition at a time; what they amounted to stays in the rollups.

Keys outlive their documents, so that a message that Kafka delivers again long after is not counted a second time;
history that is older than keys are kept counts again when it is published again. May run at any time, any number of
times, in several processes and beside writers: what is done already is not there any more, and what is stored keeps its
key.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from time import sleep

from sqlalchemy import Engine, TextClause, func, select, text
from sqlalchemy.exc import DBAPIError

from storage.errors import TransactionAborted
from storage.faults import meaning
from storage.partitions import MILLENNIUM, Day, document_days
from storage.tables import documents

KEYS_LONGER = timedelta(days=90)  # how much longer than documents their keys are kept, unless it is said

_DROP = text("SELECT drop_document_day(:day)")
_DROP_EARLY = text("SELECT drop_documents_before_2000()")
_COUNT_EARLY = select(func.count()).select_from(documents).where(documents.c.published_at < MILLENNIUM)
_PAGES_OF_KEYS = text("SELECT pg_relation_size('document_keys') / current_setting('block_size')::bigint")
# A document of a day that is gone may have come since. The bound stands for `documents` too, so that hardly a partition
# is looked into.
_FORGET = text("""
DELETE FROM document_keys
WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:past AS tid) AND published_at < :before
AND NOT EXISTS (
    SELECT FROM documents
    WHERE documents.published_at = document_keys.published_at AND documents.key = document_keys.key
    AND documents.published_at < :before
)""")
_COUNT_KEYS = text("SELECT count(*) FROM document_keys WHERE published_at < :before")
_PAGES = 64  # some 10,000 keys
_TRIES = 5
_PAUSE = 2.0  # seconds before a day that somebody reads is tried again


@dataclass(frozen=True, slots=True)
class Retained:
    """What a run dropped, or would drop: days before `before`, keys of documents published before `keys_before`.

    `documents_before_2000` is how many documents there were of the days that share a partition, where they are dropped.
    """

    before: date
    keys_before: datetime
    days: tuple[Day, ...]
    documents_before_2000: int
    keys: int
    dry_run: bool


def apply_retention(
    engine: Engine, *, keep: timedelta, now: datetime, keep_keys: timedelta | None = None, dry_run: bool = False
) -> Retained:
    """Drop the UTC days that ended `keep` ago or more, and forget keys older than `keep_keys` that have no document.

    `keep_keys` is 90 days more than `keep` unless given, and never less than it. Each day takes a lock on the tables
    for some milliseconds; where readers hold it up for a second it lets go, and tries again after a pause.

    Raises:
        TransactionAborted: a day stayed locked by others through all tries; the days before it are dropped.
        StorageError: as the other parts of this package.
    """
    before = (now - keep).date()
    kept = max(keep, keep + KEYS_LONGER if keep_keys is None else keep_keys)
    keys_before = datetime.combine((now - kept).date(), datetime.min.time(), UTC)
    try:
        days = tuple(day for day in document_days(engine) if day.day < before)
        with engine.connect() as connection:
            early = int(connection.execute(_COUNT_EARLY).scalar_one()) if before >= MILLENNIUM.date() else 0
            if dry_run:
                keys = int(connection.execute(_COUNT_KEYS, {"before": keys_before}).scalar_one())
                return Retained(before, keys_before, days, early, keys, dry_run)
        if early:
            _drop(engine, _DROP_EARLY)
        for day in days:
            _drop(engine, _DROP.bindparams(day=day.day))
        return Retained(before, keys_before, days, early, _forget(engine, keys_before), dry_run)
    except DBAPIError as error:
        raise meaning(error) or error from error


def _drop(engine: Engine, statement: TextClause) -> None:
    for tries_left in reversed(range(_TRIES)):
        try:
            with engine.begin() as connection:
                connection.execute(statement)
            return
        except DBAPIError as error:
            if not tries_left or not isinstance(meaning(error), TransactionAborted):
                raise
            sleep(_PAUSE)


def _forget(engine: Engine, before: datetime) -> int:
    """Once over the table in small transactions, so that a key is locked for milliseconds only.

    No index of times stands by for that: every batch that is written would pay for it, and this runs once a day.
    """
    with engine.connect() as connection:
        pages = int(connection.execute(_PAGES_OF_KEYS).scalar_one())
    forgotten = 0
    for first in range(0, pages, _PAGES):
        bounds = {"first": f"({first},0)", "past": f"({first + _PAGES},0)", "before": before}
        with engine.begin() as connection:
            forgotten += connection.execute(_FORGET, bounds).rowcount
    return forgotten
