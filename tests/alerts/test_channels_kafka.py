"""The Kafka topic, with a real broker."""

import json
import time
from collections.abc import Callable

import pytest
from kafka import KafkaConsumer

from alerts.channels.kafka_topic import KafkaTopic
from alerts.errors import ChannelFailed
from alerts.settings import AlertsSettings
from tests.alerts.receivers import message


@pytest.mark.integration
def test_each_message_is_one_record_of_its_alert(broker: str, topic_names: Callable[[str], str]) -> None:
    settings = AlertsSettings(kafka_servers=broker, kafka_topic=topic_names("alerts"))
    channel = KafkaTopic(settings)
    for kind in ("fired", "resolved"):
        channel.send(message(kind=kind))
    consumer = KafkaConsumer(
        settings.kafka_topic, bootstrap_servers=broker, auto_offset_reset="earliest", consumer_timeout_ms=1500
    )
    records = list(consumer)
    consumer.close()
    assert [record.key for record in records] == [b"7", b"7"]
    assert [json.loads(record.value)["kind"] for record in records] == ["fired", "resolved"]
    assert records[0].headers == [("idempotency-key", b"key-1")]
    channel.close()


def test_a_broker_that_is_away_is_no_more_than_a_failed_try() -> None:
    channel = KafkaTopic(AlertsSettings(kafka_servers="127.0.0.1:9", channel_timeout_seconds=0.5))
    began = time.monotonic()
    with pytest.raises(ChannelFailed, match="the Kafka broker did not take it"):
        channel.send(message())
    assert time.monotonic() - began < 10, "rows are locked for longer than the database lets a transaction idle"
