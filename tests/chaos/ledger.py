"""The count: what Kafka acknowledged against what is stored, and whether offsets ever ran ahead of that.

Every number that Kafka acknowledged must be a row or a dead letter; no row twice; rollups equal to their recount. While
a run lasts an auditor looks again and again: it reads the group's committed offsets first and then the database and
the dead letters, so that whatever lies below a committed offset and is in neither was acknowledged too early. Committed
offsets never fall.
"""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kafka.errors import KafkaError
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import PipelineError
from pipeline.settings import PipelineSettings
from pipeline.topics import admin
from tests.chaos.letters import Letters
from tests.chaos.traffic import Partition, Traffic
from tests.storage.rows import recount, rollups

_EVERY = 0.25  # seconds between two looks of the auditor
STILL = 5.0  # seconds without a change, with nothing left to read, after which what is missing is lost
VERY_STILL = 20.0  # the same where committed offsets may be wrong until workers have noticed
_IDS = text("SELECT id FROM documents JOIN scores USING (published_at, key)")
_LOOKS = 10  # fewer, and the auditor has seen next to nothing


@dataclass(frozen=True, slots=True)
class Count:
    """What a run came to. All but the first three must be zero, false or empty."""

    produced: int
    stored: int
    dead: int
    lost: int
    doubled: int
    stray: int  # rows nobody sent, malformed messages among the rows, good ones or strange places among the letters
    rollups_off: bool
    early: int  # messages below a committed offset that were nowhere
    fallen: int  # committed offsets that fell
    hung: bool  # not everything stored in time
    blind: bool  # the auditor hardly ever came to look
    said: str  # what should have been in the log and was not
    where: list[str]  # the lost ones, in Kafka

    @property
    def clean(self) -> bool:
        faults = (
            self.lost,
            self.doubled,
            self.stray,
            self.rollups_off,
            self.early,
            self.fallen,
            self.hung,
            self.blind,
            self.said,
        )
        return not any(faults)


class Ledger:
    """Counts one run. `start` the auditor, if it is to look, `settle` once all is healed, then `count`."""

    def __init__(self, direct: PipelineSettings, database: Engine, traffic: Traffic) -> None:
        self._settings = direct
        self._database = database
        self._traffic = traffic
        self._letters = Letters(direct.broker, direct.dead_letter_topic)
        self._admin: Any = None
        self._audited: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._audit, name="auditor", daemon=True)
        self.early = 0
        self.fallen = 0
        self.looks = 0

    def start(self) -> None:
        self._thread.start()

    def forget(self, topic: str) -> None:
        """The topic was deleted: its offsets begin anew."""
        with self._lock:
            for known in (self._audited, self._committed):
                for partition in [partition for partition in known if partition[0] == topic]:
                    del known[partition]
            self._traffic.forget(topic)

    def committed(self) -> dict[Partition, int]:
        """The group's committed offsets now; raises `KafkaError` or `PipelineError` while the broker is away."""
        if self._admin is None:
            self._admin = admin(self._settings)
        try:
            found = self._admin.list_group_offsets(self._settings.group)
        except KafkaError:
            with suppress(KafkaError):
                self._admin.close()
            self._admin = None
            raise
        offsets = found.get(self._settings.group, found)
        return {(p.topic, p.partition): entry.offset for p, entry in offsets.items() if entry.offset >= 0}

    def stored(self) -> list[int]:
        """The number of every row; raises `SQLAlchemyError` while the database is away."""
        with self._database.connect() as connection:
            return [int(name.removeprefix("chaos-")) for name in connection.execute(_IDS).scalars()]

    def missing(self) -> set[int]:
        """Acknowledged numbers that are neither a row nor a dead letter; raises `SQLAlchemyError`."""
        with self._lock:
            self._letters.catch_up()
            rows = set(self.stored())
            return (self._traffic.good - rows) | (self._traffic.bad - self._letters.numbers)

    def settle(self, seconds: float, *, still: float = STILL) -> bool:
        """Wait until nothing is missing or nothing more can come; False where neither was so in time.

        Nothing more can come once all offsets are committed and `still` seconds have brought nothing.
        """
        deadline = time.monotonic() + seconds
        before, since = -1, time.monotonic()
        while time.monotonic() < deadline:
            with suppress(SQLAlchemyError):
                missing = self.missing()
                if not missing:
                    return True
                if len(missing) != before or not self._read_to_the_end():
                    before, since = len(missing), time.monotonic()
                elif time.monotonic() - since > still:
                    return True
            time.sleep(0.2)
        return False

    def count(self, *, hung: bool, said: str) -> Count:
        """The last look and the count. Workers must have left."""
        audited = self._thread.ident is not None
        if audited:
            self._stop.set()
            self._thread.join()
            self._look()
        missing, rows, sent = self.missing(), self.stored(), self._traffic.sent
        unique = set(rows)
        misfiled = self._letters.numbers - self._traffic.bad_sent
        return Count(
            produced=self._traffic.acknowledged,
            stored=len(unique),
            dead=len(self._letters.numbers),
            lost=len(missing),
            doubled=len(rows) - len(unique),
            stray=len(misfiled)
            + len(unique & self._traffic.bad_sent)
            + sum(not 0 <= number < sent for number in unique)
            + sum(not self._traffic.was_at(place, number) for place, number in self._letters.places.items()),
            rollups_off=rollups(self._database) != recount(self._database),
            early=self.early,
            fallen=self.fallen,
            hung=hung,
            blind=audited and self.looks < _LOOKS,
            said=said,
            where=self._traffic.places(missing),
        )

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._letters.close()
        if self._admin is not None:
            with suppress(KafkaError):
                self._admin.close()

    def _read_to_the_end(self) -> bool:
        with self._lock:
            try:
                committed = self.committed()
            except (KafkaError, PipelineError):
                return False
        return all(committed.get(partition, 0) >= end for partition, end in self._traffic.ends().items())

    def _audit(self) -> None:
        while not self._stop.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        with self._lock, suppress(KafkaError, PipelineError, SQLAlchemyError):
            committed = self.committed()
            rows = set(self.stored())
            if not self._letters.catch_up(5):
                return
            self.looks += 1
            for partition, offset in committed.items():
                self._check(partition, offset, rows)

    def _check(self, partition: Partition, committed: int, rows: set[int]) -> None:
        if partition[0] not in self._settings.topics:
            return
        self.fallen += committed < self._committed.get(partition, 0)
        self._committed[partition] = committed
        audited = self._audited.get(partition, 0)
        below = [number for offset, number in self._traffic.known(partition) if audited <= offset < committed]
        self.early += sum(number not in rows and number not in self._letters.numbers for number in below)
        self._audited[partition] = max(audited, committed)
