"""Dead letters sent back to where they came from, once a release or a setting has been mended.

    catalogue ─► selection ─► decode as the worker would ─► original topic (acks=all) ─► marker in the dead-letter topic

A letter that this release still rejects stays where it is, unmarked, and a later release tries again. A replay that is
cut off before its marker is acknowledged sends up to one round again: documents are idempotent by (`source`, `id`).
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from pipeline.dead_letter_archive import Archive, ArchivedLetter
from pipeline.dead_letter_catalogue import MARKER, REPLAY_MARKER, Entry
from pipeline.dead_letters import CUT, REPLAYED
from pipeline.errors import BrokerUnreachable, InvalidMessage
from pipeline.message import decode
from pipeline.settings import PipelineSettings
from pipeline.topics import DEAD_LETTER_BYTES

_ROUND = 500
"""Letters in flight at most, and letters that one marker names at most."""
_ROUND_BYTES = 32 << 20
SHOWN = 20  # failures that the report quotes


@dataclass(slots=True)
class ReplayReport:
    """What became of the letters that were selected; each is in exactly one count.

    `sent` were acknowledged (or would be sent, in a dry run); `still_invalid` are rejected by this release, too, and
    `elsewhere` came from a topic that the workers do not read: neither was sent. `failed` Kafka did not take, `left`
    were not reached. `failures` quotes the first of those that failed as (position, error).
    """

    sent: int = 0
    still_invalid: int = 0
    elsewhere: int = 0
    failed: int = 0
    left: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)

    def fail(self, position: str, error: str) -> None:
        self.failed += 1
        if len(self.failures) < SHOWN:
            self.failures.append((position, error))


def replay(
    archive: Archive,
    entries: Iterable[Entry],
    sender: "Sender | None",
    *,
    topics: Iterable[str],
    now: datetime,
    stop: threading.Event | None = None,
    on_letter: Callable[[ReplayReport], None] = lambda report: None,
) -> ReplayReport:
    """Send the letters of `entries` back, in order; without a sender only tell what would become of them.

    `topics` are those that the workers read. Setting `stop` ends early; what was sent is still settled and counted. It
    ends early as well when Kafka takes nothing of a whole round. Raises `BrokerUnreachable`.
    """
    wanted = {(entry.partition, entry.offset) for entry in entries}
    report = ReplayReport(left=len(wanted))
    known = frozenset(topics)
    for letter in _read(archive, wanted):
        if (stop and stop.is_set()) or (sender and sender.given_up):
            break
        report.left -= 1
        verdict = _verdict(letter, known, now)
        if verdict:
            setattr(report, verdict, getattr(report, verdict) + 1)
        elif sender is None:
            report.sent += 1
        else:
            sender.send(letter, report)
        on_letter(report)
    if sender:
        sender.settle(report)
    on_letter(report)
    return report


def _verdict(letter: ArchivedLetter, topics: frozenset[str], now: datetime) -> str | None:
    """Which count keeps the letter from being sent; None where it is to be sent. What was cut is not the message."""
    if letter.origin is None or letter.origin[0] not in topics:
        return "elsewhere"
    if CUT in letter.headers:
        return "still_invalid"
    try:
        decode(letter.value, now=now)
    except InvalidMessage:
        return "still_invalid"
    return None


def _read(archive: Archive, wanted: set[tuple[int, int]]) -> Iterable[ArchivedLetter]:
    """The letters with their bytes, one after another: from the first wanted one until the last is seen."""
    left = set(wanted)
    starts = dict(sorted(wanted, reverse=True))  # the lowest offset of each partition comes last and stays
    for letter in archive.read(starts) if left else ():
        if (letter.partition, letter.offset) in left:
            left.remove((letter.partition, letter.offset))
            yield letter
        if not left:
            return


class Sender:
    """Sends letters back in rounds and marks each round. Use as a context manager; raises `BrokerUnreachable`.

    `given_up` is set when Kafka has stopped taking anything.
    """

    def __init__(self, settings: PipelineSettings, *, delivery_timeout: float = 30) -> None:
        self._settings = settings
        self._timeout = delivery_timeout
        self._round: list[tuple[ArchivedLetter, Any]] = []
        self._bytes = 0
        self.given_up = False
        try:
            self._producer: Any = KafkaProducer(
                **settings.client_options(),
                acks="all",
                compression_type="lz4",
                linger_ms=20,
                allow_auto_create_topics=False,
                max_request_size=DEAD_LETTER_BYTES,
                delivery_timeout_ms=int(delivery_timeout * 1000),
                request_timeout_ms=int(delivery_timeout * 1000) - 1000,
                max_block_ms=10_000,
                bootstrap_timeout_ms=5_000,
            )
        except (KafkaError, OSError) as error:
            raise BrokerUnreachable(f"no Kafka broker answers at {settings.broker}: {type(error).__name__}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close(timeout=1)

    def send(self, letter: ArchivedLetter, report: ReplayReport) -> None:
        """Hand a letter over; every so often wait for the round and mark it."""
        assert letter.origin is not None
        back = [(REPLAYED, letter.position.encode())]
        try:
            sent = self._producer.send(letter.origin[0], key=letter.key, value=letter.value, headers=back)
        except (KafkaError, OSError) as error:
            report.fail(letter.position, f"{type(error).__name__}: {error}")
            self.given_up = isinstance(error, KafkaTimeoutError)
            return
        self._round.append((letter, sent))
        self._bytes += len(letter.value or b"")
        if len(self._round) >= _ROUND or self._bytes >= _ROUND_BYTES:
            self.settle(report)

    def settle(self, report: ReplayReport) -> None:
        """Wait until Kafka has answered for every letter handed over, count them, and mark those that it took."""
        current, self._round, self._bytes = self._round, [], 0
        taken = []
        for letter, sent in current:
            try:
                sent.get(self._timeout + 5)
                taken.append(letter.identity)
            except KafkaError as error:
                report.fail(letter.position, f"{type(error).__name__}: {error}")
        report.sent += len(taken)
        self.given_up = self.given_up or (bool(current) and not taken)
        if taken:
            self._mark(taken)

    def _mark(self, identities: list[str]) -> None:
        value, headers = msgspec.json.encode(identities), [(MARKER, REPLAY_MARKER)]
        try:
            self._producer.send(self._settings.dead_letter_topic, value=value, headers=headers).get(self._timeout + 5)
        except (KafkaError, OSError) as error:
            raise BrokerUnreachable(
                f"{len(identities)} letters were sent back, but that could not be noted in "
                f"{self._settings.dead_letter_topic} ({type(error).__name__}): the next replay sends them again, "
                "which changes nothing in the database"
            ) from error
