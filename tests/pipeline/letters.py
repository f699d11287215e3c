"""Dead letters sent by the worker's own producer, read back, and sent back."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from pipeline.app import create_app
from pipeline.dead_letter_archive import Archive
from pipeline.dead_letter_catalogue import Entry, Selection, catalogue
from pipeline.dead_letter_replay import ReplayReport, Sender, replay
from pipeline.dead_letters import DeadLetter, DeadLetterTopic, replay_of
from pipeline.reasons import Reason
from pipeline.settings import PipelineSettings

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
FIELDS = {"id": "1", "source": "wire", "published_at": "2026-03-10T12:00:00Z", "text": "Profit rose."}


def valid(number: int) -> bytes:
    return json.dumps({**FIELDS, "id": str(number)}).encode()


def letter(
    settings: PipelineSettings, offset: int, value: bytes | None, reason: Reason = Reason.CLASSIFIER
) -> DeadLetter:
    return DeadLetter(reason, "it failed", settings.news_topic, 1, offset, b"wire", value)


def send(settings: PipelineSettings, folder: Path, *batches: Sequence[DeadLetter]) -> None:
    """Each batch by the worker's own producer."""

    async def sending() -> None:
        app = create_app(settings, str(folder))
        app.finalize()
        topic = DeadLetterTopic(app, settings.dead_letter_topic)
        try:
            for batch in batches:
                await topic.send(batch)
        finally:
            await app.producer.stop()

    asyncio.run(sending())


def entries(settings: PipelineSettings) -> list[Entry]:
    with Archive(settings) as archive:
        return catalogue(archive.read())


def send_back(
    settings: PipelineSettings,
    selection: Selection = Selection(),  # noqa: B008, frozen
    *,
    again: bool = False,
    dry_run: bool = False,
) -> ReplayReport:
    with Archive(settings) as archive:
        chosen = [e for e in catalogue(archive.read()) if selection.covers(e) and (again or not e.replayed)]
        if dry_run:
            return replay(archive, chosen, None, topics=settings.topics, now=NOW)
        with Sender(settings) as sender:
            return replay(archive, chosen, sender, topics=settings.topics, now=NOW)


def records(settings: PipelineSettings, topic: str) -> list[tuple[bytes | None, bytes | None, str | None]]:
    """Key, value and `replayed` header of everything on a topic."""
    consumer = KafkaConsumer(bootstrap_servers=settings.broker, enable_auto_commit=False, group_id=None)
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    found = []
    while polled := consumer.poll(1_000):
        for batch in polled.values():
            found += [(record.key, record.value, replay_of(record.headers)) for record in batch]
    consumer.close()
    return found
