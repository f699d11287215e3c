"""Dead letters: messages that can never be stored, kept with their bytes, coordinates and the reason.

The record in the dead-letter topic has the original key and value, and the headers `error`, `topic`, `partition` and
`offset`. It is acknowledged by Kafka before the original's offset is.
"""

from dataclasses import dataclass

from faust.types import AppT

_ERROR_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that cannot be processed, and why."""

    error: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None

    @property
    def headers(self) -> dict[str, bytes]:
        """Kafka headers, as UTF-8 text."""
        return {
            "error": self.error.encode()[:_ERROR_BYTES],
            "topic": self.topic.encode(),
            "partition": str(self.partition).encode(),
            "offset": str(self.offset).encode(),
        }


class DeadLetterTopic:
    """Sends dead letters with the Faust app's own producer."""

    def __init__(self, app: AppT, topic: str) -> None:
        self._app = app
        self._topic = topic

    async def send(self, letters) -> None:
        producer = await self._app.maybe_start_producer()
        for letter in letters:
            await producer.send_and_wait(
                self._topic,
                key=letter.key,
                value=letter.value,
                partition=None,
                timestamp=None,
                headers=letter.headers,
            )
