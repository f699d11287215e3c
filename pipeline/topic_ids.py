"""Kafka's own ids of the topics (KIP-516): the only way to tell that a topic was deleted and made anew.

aiokafka speaks older versions of the protocol, which have no ids, so kafka-python's admin client asks.
"""

import threading
from typing import Any
from uuid import UUID

from kafka.errors import KafkaError

from pipeline.errors import BrokerUnreachable
from pipeline.settings import PipelineSettings
from pipeline.topics import admin

_NONE = UUID(int=0)


class TopicIds:
    """Asks with one connection that is kept, and made anew after an error. Blocks; safe from any thread."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._client: Any = None
        self._lock = threading.Lock()

    def read(self) -> dict[str, UUID | None]:
        """The id of each topic that exists; None where the broker gives none. Raises `BrokerUnreachable`."""
        with self._lock:
            try:
                self._client = self._client or admin(self._settings)
                described = self._client.describe_topics(list(self._settings.topics))
            except (KafkaError, OSError, ValueError) as error:
                self._close()
                raise BrokerUnreachable(f"{self._settings.broker} gave no topic ids: {error}") from error
        found = {topic["name"]: topic.get("topic_id") for topic in described if not topic.get("error_code")}
        return {name: _known(topic_id) for name, topic_id in found.items()}

    def close(self) -> None:
        """Give the connection up."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _known(topic_id: object) -> UUID | None:
    """kafka-python gives ids as text; brokers without ids give none, or zero."""
    found = UUID(str(topic_id)) if topic_id else _NONE
    return None if found == _NONE else found
