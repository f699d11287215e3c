"""Publishing to a real broker: every row ends as delivered, rejected or failed."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka import KafkaConsumer

from newsquake.commands.publish import publish_file
from newsquake.servers.tansu import Tansu
from newsquake.stack.guardian import Guardian
from pipeline.errors import TopicsMissing
from pipeline.message import decode
from pipeline.publish import Publisher
from pipeline.settings import PipelineSettings
from pipeline.sources.files import Row, open_file, read_rows
from pipeline.topics import check_topics, create_topics, lag

FIRST = datetime(2018, 2, 5, 9, tzinfo=UTC)


def rows_file(path: Path, number: int, step: timedelta = timedelta(minutes=1)) -> Path:
    """`number` rows of alternating streams and three sources, `step` of event time apart."""
    lines = [
        {
            "id": str(n),
            "source": f"wire-{n % 3}",
            "stream": ("news", "comment")[n % 2],
            "published_at": (FIRST + n * step).isoformat(),
            "text": f"Item {n}",
        }
        for n in range(number)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    return path


def test_rows_arrive_in_their_streams_keyed_by_source(settings: PipelineSettings, tmp_path: Path) -> None:
    report = publish_file(settings, rows_file(tmp_path / "rows.jsonl", 40))
    assert (report.delivered, report.rejected, report.failed) == (40, 0, 0)
    consumer = KafkaConsumer(
        settings.news_topic,
        bootstrap_servers=settings.broker,
        auto_offset_reset="earliest",
        consumer_timeout_ms=10_000,
    )
    records = [next(consumer) for _ in range(20)]
    consumer.close()
    for record in records:
        message = decode(record.value, now=datetime.now(UTC))
        assert record.key.decode() == message.source
        assert int(message.id) % 2 == 0
    assert {row.topic for row in lag(settings)} == set(settings.topics)


def test_rows_are_paced_by_event_time(settings: PipelineSettings, tmp_path: Path) -> None:
    began = time.monotonic()
    publish_file(settings, rows_file(tmp_path / "rows.jsonl", 5), speed=240)  # four minutes in a second
    assert 0.9 < time.monotonic() - began < 5


def test_a_row_of_an_impossible_time_is_not_waited_for(settings: PipelineSettings, tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", 3)
    lines = path.read_text("utf-8").splitlines()
    early, late = (
        json.dumps({**json.loads(lines[0]), "published_at": at})
        for at in ("0001-01-01T00:00:00Z", "2999-01-01T00:00:00Z")
    )
    path.write_text("\n".join([early, *lines, late]), "utf-8")
    began = time.monotonic()
    report = publish_file(settings, path, speed=240)
    assert time.monotonic() - began < 5
    assert (report.delivered, [line for line, _ in report.rejections]) == (3, [1, 5])


def test_a_stop_ends_the_pacing_and_what_was_sent_is_counted(settings: PipelineSettings, tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    report = publish_file(settings, rows_file(tmp_path / "rows.jsonl", 5), speed=1, stop=stop)
    assert (report.delivered, report.failed) == (1, 0)


def test_rebased_rows_end_now(settings: PipelineSettings, tmp_path: Path) -> None:
    publish_file(settings, rows_file(tmp_path / "rows.jsonl", 3), rebase=True)
    consumer = KafkaConsumer(
        settings.comments_topic,
        bootstrap_servers=settings.broker,
        auto_offset_reset="earliest",
        consumer_timeout_ms=10_000,
    )
    message = decode(next(consumer).value, now=datetime.now(UTC))
    consumer.close()
    age = datetime.now(UTC) - message.published_at
    assert timedelta(seconds=55) < age < timedelta(seconds=90)  # the middle one of three, a minute before the last


def test_what_kafka_does_not_take_is_counted_as_failed(
    server_dir: Path, guardian: Guardian, tmp_path: Path, topic_names: Callable[[str], str]
) -> None:
    broker = Tansu(server_dir / f"{topic_names('tansu')}.log", watch=guardian.watch)
    broker.start()
    try:
        settings = PipelineSettings(broker=broker.address)
        with pytest.raises(TopicsMissing, match="newsquake topics create"):
            check_topics(settings)
        create_topics(settings)
        check_topics(settings)
        path = rows_file(tmp_path / "rows.jsonl", 6)
        with open_file(path) as (content, _):
            rows: list[Row] = list(read_rows(content, name=path.name))
        with Publisher(settings, delivery_timeout=3) as publisher:
            for row in rows[:3]:
                publisher.send(row, now=datetime.now(UTC))
            publisher._producer.flush()
            broker.kill()
            for row in rows[3:]:
                publisher.send(row, now=datetime.now(UTC))
        assert (publisher.report.delivered, publisher.report.failed) == (3, 3)
        assert [line for line, _ in publisher.report.failures] == [4, 5, 6]
    finally:
        broker.stop(1)
