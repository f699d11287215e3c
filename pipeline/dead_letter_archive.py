"""The dead-letter topic read back: every record from its beginning to its end, parsed without trust.

Anyone may have written into the topic, an older release as well, so a record without our headers is a letter whose
origin is not known, never an error. What becomes of the letters is `dead_letter_catalogue` and `dead_letter_replay`.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from typing import Any, Self

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from pipeline.dead_letters import NULL_KEY, REPLAYED, DeadLetter
from pipeline.errors import BrokerUnreachable, DeadLetterMissing, TopicsMissing
from pipeline.reasons import Reason
from pipeline.records import read_any_header
from pipeline.settings import PipelineSettings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POLL_MS = 300
_SILENCE = 15.0  # seconds without a record, short of the end, until the broker counts as gone
_PAST_END = 5.0  # seconds to go on past the listed end while records keep coming: Tansu lists it low


@dataclass(frozen=True)
class ArchivedLetter:
    """One record of the dead-letter topic. `at` is when it was sent (UTC); properties are None where unreadable."""

    partition: int
    offset: int
    at: datetime
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]

    @property
    def position(self) -> str:
        """`partition@offset` in the dead-letter topic."""
        return f"{self.partition}@{self.offset}"

    @property
    def reason(self) -> Reason | None:
        """None for a letter of a release that knew no reasons, or of a newer one."""
        given = self.headers.get("reason")
        return Reason(given) if given in list(Reason) else None

    @property
    def error(self) -> str:
        """The sentence that tells the case; empty where there is none."""
        return self.headers.get("error", "")

    @cached_property
    def origin(self) -> tuple[str, int, int] | None:
        """Topic, partition and offset that the message had."""
        try:
            return self.headers["topic"], int(self.headers["partition"]), int(self.headers["offset"])
        except (KeyError, ValueError):
            return None

    @property
    def replay_of(self) -> str | None:
        """Position of the letter whose replay failed and became this one."""
        return self.headers.get(REPLAYED)

    @cached_property
    def identity(self) -> str:
        """The same for each copy of a letter that was sent twice: its original coordinates and a digest of its value.

        The digest tells apart what had the same coordinates in a topic that was deleted and made anew.
        """
        if self.origin is None:
            return self.position
        topic, partition, offset = self.origin
        return f"{topic}/{partition}@{offset}#{blake2b(self.value or b'', digest_size=8).hexdigest()}"


class Archive:
    """Reads the dead-letter topic; use as a context manager. Joins no group, commits nothing.

    Raises `BrokerUnreachable` where no broker answers, or it stops answering, and `TopicsMissing`. Checksums take
    longest by far, a second for 5 MB: `check_crcs` is off where a broken letter does no harm.
    """

    def __init__(self, settings: PipelineSettings, *, check_crcs: bool = True) -> None:
        self._settings = settings
        self._topic = settings.dead_letter_topic
        read_any_header()
        try:
            self._consumer: Any = KafkaConsumer(
                **settings.client_options(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                fetch_max_bytes=16 << 20,
                check_crcs=check_crcs,
                bootstrap_timeout_ms=5_000,
                request_timeout_ms=10_000,
            )
        except (KafkaError, OSError) as error:
            raise BrokerUnreachable(f"no Kafka broker answers at {settings.broker}: {type(error).__name__}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close(autocommit=False)

    def read(self, starts: Mapping[int, int] | None = None) -> Iterator[ArchivedLetter]:
        """Every record to the end; with `starts` (partition to offset) only those partitions, each from there on."""
        try:
            partitions = self._partitions(starts)
            self._consumer.assign(partitions)
            for partition in partitions:
                if starts is None:
                    self._consumer.seek_to_beginning(partition)
                else:
                    self._consumer.seek(partition, starts[partition.partition])
            yield from self._to_the_end(partitions)
        except KafkaError as error:
            raise self._unreachable(error) from error

    def letter(self, partition: int, offset: int) -> ArchivedLetter:
        """The record at one offset; raises `DeadLetterMissing`."""
        found = next(self.read({partition: offset}), None)
        if found is None or found.offset != offset:
            raise DeadLetterMissing(f"nothing at offset {offset} of {self._topic}/{partition}")
        return found

    def newest(self, count: int) -> Iterator[ArchivedLetter]:
        """About the newest `count` records of each partition."""
        try:
            ends = self._ends(self._partitions())
        except KafkaError as error:
            raise self._unreachable(error) from error
        yield from self.read({partition.partition: max(0, end - count) for partition, end in ends.items()})

    def _partitions(self, wanted: Collection[int] | None = None) -> list[TopicPartition]:
        numbers = self._consumer.partitions_for_topic(self._topic)
        if not numbers:
            missing = f"missing at {self._settings.broker}: {self._topic}; run `newsquake topics create`"
            raise TopicsMissing(missing)
        return [TopicPartition(self._topic, number) for number in sorted(numbers) if wanted is None or number in wanted]

    def _ends(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return self._consumer.end_offsets(partitions, timeout_ms=10_000) if partitions else {}

    def _to_the_end(self, partitions: list[TopicPartition]) -> Iterator[ArchivedLetter]:
        """Up to the listed ends, and past them until nothing comes: Tansu lists the last batch as one record."""
        ends = self._ends(partitions)
        heard, reached = time.monotonic(), None
        while ends:
            polled = self._consumer.poll(timeout_ms=_POLL_MS)
            for records in polled.values():
                yield from map(_archived, records)
            now = time.monotonic()
            if all((self._consumer.position(partition, 1_000) or 0) >= end for partition, end in ends.items()):
                reached = reached or now
                if not polled or now - reached > _PAST_END:
                    return
            heard = now if polled else heard
            if now - heard > _SILENCE:
                raise BrokerUnreachable(f"{self._settings.broker} has stopped answering")

    def _unreachable(self, error: KafkaError) -> BrokerUnreachable:
        return BrokerUnreachable(f"{self._settings.broker} did not answer: {type(error).__name__}: {error}")


def recent(settings: PipelineSettings, count: int, within: float) -> list[DeadLetter]:
    """The newest letters, without their bytes, about `count` of each partition: for `DeadLetterLimit.assign`.

    Blocks for a moment; call it in a thread. Raises as `Archive` does, and `BrokerUnreachable` where reading is not
    over `within` seconds: a thousand letters may have gigabytes.
    """
    deadline = time.monotonic() + within
    found = []
    with Archive(settings, check_crcs=False) as archive:
        for letter in archive.newest(count):
            if time.monotonic() > deadline:
                raise BrokerUnreachable(f"{settings.broker} did not give the newest dead letters within {within:.0f} s")
            if letter.reason and letter.origin:
                found.append(DeadLetter(letter.reason, letter.error, *letter.origin, None, None, letter.replay_of))
    return found


def _archived(record: Any) -> ArchivedLetter:
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    try:
        at = _EPOCH + timedelta(milliseconds=max(0, record.timestamp or 0))
    except OverflowError:
        at = _EPOCH
    key = None if NULL_KEY in headers and not record.key else record.key
    return ArchivedLetter(record.partition, record.offset, at, key, record.value, headers)
