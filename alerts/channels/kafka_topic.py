"""A Kafka topic: one record for each notification, keyed by the alert's number, so that an alert's records keep order.

A record counts as sent once all in-sync replicas have it. The header `idempotency-key` is the same for every try.
"""

import contextlib
from typing import Any, ClassVar

from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from alerts.channels.webhook import document
from alerts.errors import ChannelFailed
from alerts.message import Message
from alerts.settings import AlertsSettings


class KafkaTopic:
    """Connects with the first message and makes the topic where it is missing; connects anew after a failure."""

    takes_pictures: ClassVar[bool] = False

    def __init__(self, settings: AlertsSettings) -> None:
        self._settings = settings
        self._producer: Any = None

    def send(self, message: Message) -> None:
        key, timeout = str(message.payload["alert_id"]).encode(), self._settings.channel_timeout_seconds
        headers = [("idempotency-key", message.key.encode())]
        try:
            if self._producer is None:
                self._producer = self._open()
            record = self._producer.send(self._settings.kafka_topic, key=key, value=document(message), headers=headers)
            record.get(timeout=timeout)
        except (KafkaError, OSError, ValueError) as error:
            self.close()
            raise ChannelFailed(f"the Kafka broker did not take it ({type(error).__name__})") from None

    def _open(self) -> Any:
        milliseconds = int(self._settings.channel_timeout_seconds * 1000)
        options = self._settings.kafka_options() | {"bootstrap_timeout_ms": min(5_000, milliseconds)}
        admin = KafkaAdminClient(**options, request_timeout_ms=milliseconds)
        try:
            if self._settings.kafka_topic not in admin.list_topics():
                with contextlib.suppress(TopicAlreadyExistsError):
                    admin.create_topics([NewTopic(self._settings.kafka_topic, num_partitions=1, replication_factor=-1)])
        finally:
            admin.close()
        return KafkaProducer(
            **options,
            acks="all",
            linger_ms=0,
            max_block_ms=milliseconds,
            request_timeout_ms=max(milliseconds - 1000, milliseconds // 2),
            delivery_timeout_ms=milliseconds,
        )

    def close(self) -> None:
        """Drop the connection; the next message makes a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError, ValueError):
                producer.close(timeout=0)
