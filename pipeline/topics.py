"""Topic administration: creates what Newsquake reads and writes, and tells how far behind the consumers are."""

from dataclasses import dataclass
from typing import Any

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.structs import TopicPartition
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from pipeline.errors import BrokerUnreachable, TopicsMissing
from pipeline.settings import PipelineSettings

STREAM_BYTES = 8 << 20  # oversized values must reach the worker, which dead-letters them with a reason
DEAD_LETTER_BYTES = STREAM_BYTES + (1 << 20)
_FOR_EVER = {"retention.ms": "-1"}  # a dead letter waits for people, who may take longer than a week


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the consumer group is on one partition; `committed` is None where it never committed.

    Tansu counts the last batch of a partition as one message, so there `end` can be a little low.
    """

    topic: str
    partition: int
    committed: int | None
    end: int

    @property
    def behind(self) -> int:
        return max(0, self.end - (self.committed or 0))


def admin(settings: PipelineSettings) -> Any:
    """An admin client; raises `BrokerUnreachable` after five seconds of silence."""
    try:
        return KafkaAdminClient(**settings.client_options(), bootstrap_timeout_ms=5_000, request_timeout_ms=10_000)
    except (KafkaError, OSError, ValueError) as error:
        raise BrokerUnreachable(f"no Kafka broker answers at {settings.broker}: {type(error).__name__}") from error


def create_topics(settings: PipelineSettings) -> list[str]:
    """Create the topics that are missing; those that exist are left as they are. Returns the names created."""
    client = admin(settings)
    try:
        existing = set(client.list_topics())
        created = []
        for name in (*settings.topics, settings.dead_letter_topic):
            dead = name == settings.dead_letter_topic
            limit = DEAD_LETTER_BYTES if dead else STREAM_BYTES
            topic = NewTopic(
                name,
                num_partitions=1 if dead else settings.partitions,
                replication_factor=settings.replication,
                topic_configs={"max.message.bytes": str(limit)} | (_FOR_EVER if dead else {}),
            )
            if name not in existing:
                try:
                    client.create_topics([topic], timeout_ms=10_000)
                except TopicAlreadyExistsError:
                    continue  # another process was faster
                created.append(name)
        return created
    except KafkaError as error:
        raise BrokerUnreachable(f"topics could not be created at {settings.broker}: {error}") from error
    finally:
        client.close()


def check_topics(settings: PipelineSettings) -> None:
    """Raise `TopicsMissing` unless every topic is there, `BrokerUnreachable` where no broker answers."""
    client = admin(settings)
    try:
        existing = set(client.list_topics())
    except KafkaError as error:
        raise BrokerUnreachable(f"no Kafka broker answers at {settings.broker}: {error}") from error
    finally:
        client.close()
    missing = [name for name in (*settings.topics, settings.dead_letter_topic) if name not in existing]
    if missing:
        raise TopicsMissing(f"missing at {settings.broker}: {', '.join(missing)}; run `newsquake topics create`")


def lag(settings: PipelineSettings) -> list[Lag]:
    """Committed against end offsets of every partition that the workers read."""
    client = admin(settings)
    try:
        described = client.describe_topics(list(settings.topics))
        partitions = [
            TopicPartition(topic["name"], partition["partition_index"])
            for topic in described
            for partition in topic["partitions"]
        ]
        ends = _offsets(client, partitions)
        committed = _committed(client, settings.group)
        found = committed.get(settings.group, committed)
        return [
            Lag(p.topic, p.partition, found[p].offset if p in found and found[p].offset >= 0 else None, ends[p])
            for p in sorted(partitions)
        ]
    except UnknownTopicOrPartitionError:
        raise TopicsMissing(f"topics are missing at {settings.broker}; run `newsquake topics create`") from None
    except KafkaError as error:
        raise BrokerUnreachable(f"{settings.broker} did not answer: {error}") from error
    finally:
        client.close()


@retry(
    retry=retry_if_exception_type((CoordinatorNotAvailableError, CoordinatorLoadInProgressError)),
    wait=wait_fixed(0.5),
    stop=stop_after_delay(15),
    reraise=True,
)
def _committed(client: Any, group: str) -> Any:
    """Offsets of the group; a broker that was never asked for any makes its offsets topic first."""
    return client.list_group_offsets(group)


def _offsets(client: Any, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    found = client.list_partition_offsets({partition: -1 for partition in partitions})
    return {partition: found[partition].offset for partition in partitions}
