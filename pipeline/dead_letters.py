"""Dead letters: messages that can never be stored, kept with their bytes, coordinates and the reason.

The record in the dead-letter topic has the original key and value, and the headers `reason`, `error`, `topic`,
`partition` and `offset`; `replayed` as well where the message had been replayed before and failed again. It is
acknowledged by Kafka before the original's offset is. A worker that dies in between sends it once more, so readers
know a letter by its original coordinates (`pipeline/dead_letter_archive.py`).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError
from faust.types import AppT
from faust.types.transports import ProducerT

from pipeline.reasons import Reason

REPLAYED = "replayed"
"""Header of a message that was sent back: `partition@offset` of the dead letter that it comes from."""
NULL_KEY = "null-key"
"""Header of a dead letter without key and value: clients refuse to send such a record, so its key is empty."""

CUT = "cut-from"
"""Header of a dead letter whose value no producer could send whole: the size in bytes that it was cut from."""
LARGEST_LETTER = 64 << 20
"""Bytes of a letter before compression: a value that compresses well may be many times what a topic takes."""

_CUT_TO = 512 << 10
_CUT_KEY_TO = 4 << 10
_ERROR_BYTES = 1_000
_REPLAYED_CHARACTERS = 100  # whoever writes into the streams writes this header


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that cannot be processed, and why. `replay_of` is the `replayed` header that it came with."""

    reason: Reason
    error: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    replay_of: str | None = None
    cut_from: int | None = None

    @property
    def cut(self) -> "DeadLetter":
        """This letter with the first half megabyte of its value and 4 kB of its key, for one that no topic takes: else
        it would stop its partition for good. Cut again it is half as long, for topics that take even less. The whole
        message stays in Kafka at its coordinates, for as long as its topic keeps it."""
        value = self.value or b""
        whole = self.cut_from if self.cut_from is not None else len(value)
        key = self.key[:_CUT_KEY_TO] if self.key else self.key
        return replace(self, key=key, value=value[: min(_CUT_TO, len(value) // 2)], cut_from=whole)

    @property
    def headers(self) -> dict[str, bytes]:
        """Kafka headers, as UTF-8 text; the error is cut to 1,000 bytes between two characters."""
        made = {
            "reason": self.reason.encode(),
            "error": _cut(self.error),
            "topic": self.topic.encode(),
            "partition": str(self.partition).encode(),
            "offset": str(self.offset).encode(),
        }
        if self.replay_of is not None:
            made[REPLAYED] = self.replay_of.encode("utf-8", "backslashreplace")
        if self.key is None and self.value is None:
            made[NULL_KEY] = b"1"
        if self.cut_from is not None:
            made[CUT] = str(self.cut_from).encode()
        return made


def _cut(error: str) -> bytes:
    encoded = error.encode("utf-8", "backslashreplace")[:_ERROR_BYTES]
    return encoded.decode("utf-8", "ignore").encode()


def replay_of(headers: Iterable[tuple[str, bytes | None]] | None) -> str | None:
    """The `replayed` header of a record's headers, None where it was never dead before."""
    for name, value in headers or ():
        if name == REPLAYED:
            return (value or b"").decode("utf-8", "replace")[:_REPLAYED_CHARACTERS]
    return None


class DeadLetterTopic:
    """Sends dead letters with the Faust app's own producer, which asks all replicas for acknowledgement."""

    def __init__(self, app: AppT, topic: str) -> None:
        self._app = app
        self._topic = topic

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Return once Kafka has acknowledged every letter (acks=all); Kafka's error of the first that failed otherwise.

        They travel together, not one round trip each. After an error some may have arrived: send all of them again.
        """
        if not letters:
            return
        producer = await self._app.maybe_start_producer()
        sent: list[asyncio.Future[object]] = []
        refused: Exception | None = None
        try:
            for letter in letters:
                sent.append(await self._hand_over(producer, letter))  # noqa: PERF401, what is sent must be awaited
        except ProducerSendError as error:
            # Faust wraps what callers retry on.
            refused = error.__cause__ if isinstance(error.__cause__, KafkaError) else error
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        too_large = [isinstance(outcome, MessageSizeTooLargeError) for outcome in outcomes]
        failures = [
            outcome
            for outcome, size in zip((*outcomes, refused), (*too_large, False), strict=True)
            if isinstance(outcome, BaseException) and not size
        ]
        if failures:
            raise failures[0]
        cut = [letter for letter, size in zip(letters, too_large, strict=True) if size]
        hopeless = next((letter for letter in cut if letter.cut_from is not None and not letter.value), None)
        if hopeless:
            raise MessageSizeTooLargeError(f"{self._topic} takes not even a dead letter without its value")
        await self.send([letter.cut for letter in cut])

    async def _hand_over(self, producer: ProducerT, letter: DeadLetter) -> "asyncio.Future[object]":
        """Into the producer's buffer; the future is done when Kafka has acknowledged it."""
        if len(letter.key or b"") + len(letter.value or b"") > LARGEST_LETTER - _CUT_TO:
            letter = letter.cut
        null = letter.key is None and letter.value is None
        acknowledged: asyncio.Future[object] = await producer.send(
            self._topic,
            key=b"" if null else letter.key,
            value=letter.value,
            partition=None,
            timestamp=None,
            headers=letter.headers,
        )
        return acknowledged
