"""One mistake each, planted into the real worker: what the red controls run.

A fault patches one seam of the worker and leaves the rest as it is. None of them shows while nothing goes wrong, and
each shows in figures of its own (`SHOWS`): a count that is off for another reason has not caught it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from msgspec.structs import replace
from sqlalchemy import text

from pipeline import message, reporter, worker
from pipeline.inbox import Received
from pipeline.processor import Processor
from pipeline.settings import Stream
from storage import progress, writer
from storage.errors import TransientFault
from storage.progress import Progress
from storage.writer import BatchWriter, ScoredDocument

_STORED = """
    SELECT published_at, source, stream, lang, entities, topic, sentiment, score, 1 AS sign
    FROM documents JOIN scores USING (published_at, key)
    WHERE counted AND key = ANY(:keys)"""
_GAP = 0.1  # seconds in which the second transaction of `rollups` can be missed


def early() -> None:
    """Acknowledges what it has not stored yet."""

    class AcknowledgesEarly(Processor):
        async def submit(self, stream: Stream, messages: Sequence[Received]) -> None:
            raw = [received.message for received in messages]
            self._stored({(record.topic, record.partition): record.offset + 1 for record in raw}, self._generation)
            await super().submit(stream, messages)

    worker.Processor = AcknowledgesEarly


def twice() -> None:
    """Inserts under a key of its own making, so that a second delivery is a second row."""

    class InsertsAgain(BatchWriter):
        def write(self, batch: Sequence[ScoredDocument], progress: Sequence[Progress] = ()) -> int:
            return super().write([replace(document, key=uuid4()) for document in batch], progress)

    worker.BatchWriter = InsertsAgain


def rollups() -> None:
    """Raises the rollups in a transaction of their own, after the one that stores the documents."""
    stores = Path(writer.__file__).with_name("write_batch.sql").read_text("utf-8")
    writer._WRITE = text(f"{stores} SELECT count(*) FROM fresh")
    raise_rollups = text(f"WITH changes AS ({_STORED}) {writer._ROLLUPS} SELECT 1")
    known = text("SELECT key FROM document_keys WHERE key = ANY(:keys)")

    class RaisesApart(BatchWriter):
        def write(self, batch: Sequence[ScoredDocument], progress: Sequence[Progress] = ()) -> int:
            keys: list[UUID] = [document.key for document in batch]
            with self._engine.connect() as connection:
                old = set(connection.execute(known, {"keys": keys}).scalars())
            count = super().write(batch, progress)
            time.sleep(_GAP)
            with self._engine.begin() as connection:
                connection.execute(raise_rollups, {"keys": [key for key in keys if key not in old]})
            return count

    worker.BatchWriter = RaisesApart


def swallow() -> None:
    """Takes a database that is away for a batch that is stored."""

    class Swallows(BatchWriter):
        def write(self, batch: Sequence[ScoredDocument], progress: Sequence[Progress] = ()) -> int:
            try:
                return super().write(batch, progress)
            except TransientFault:
                return 0

    worker.BatchWriter = Swallows


def drop() -> None:
    """Skips what it cannot decode."""

    class Drops(worker.DeadLetterTopic):
        async def send(self, letter: object) -> None:
            await asyncio.sleep(0)

    worker.DeadLetterTopic = Drops


def clock() -> None:
    """Trusts the clock: a message from after now is invalid."""
    message.AHEAD = timedelta(0)


def silent() -> None:
    """Says nothing of messages that retention took before they were read."""
    reporter.announce = lambda partition, start, committed: None


def nameless() -> None:
    """Knows a topic by its name alone."""

    class NoIds(worker.TopicIds):
        def read(self) -> dict[str, UUID | None]:
            return dict.fromkeys(super().read())

    worker.TopicIds = NoIds


def trusting() -> None:
    """Takes a commit for durable for ever."""
    progress._continued = lambda connection, entries: list(entries)


SHOWS = {
    "early": ("early", "lost"),
    "twice": ("doubled",),
    "rollups": ("rollups_off",),
    "swallow": ("early", "lost"),
    "drop": ("lost",),
    "clock": ("stray",),
    "silent": ("said",),
    "nameless": ("lost",),
    "trusting": ("lost",),
}
"""In which figures of the count a fault shows."""

FAULTS: dict[str, Callable[[], None]] = {
    "early": early,
    "twice": twice,
    "rollups": rollups,
    "swallow": swallow,
    "drop": drop,
    "clock": clock,
    "silent": silent,
    "nameless": nameless,
    "trusting": trusting,
}
