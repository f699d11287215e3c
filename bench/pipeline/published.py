"""The backlog: messages put into the topics before anything is measured, by the publisher that people use."""

from collections.abc import Sequence
from datetime import UTC, datetime

from bench.errors import BenchError
from bench.pipeline.messages import Item
from pipeline.publish import Publisher
from pipeline.settings import PipelineSettings
from pipeline.sources.files import Row


def publish(settings: PipelineSettings, items: Sequence[Item]) -> None:
    """Publish them, lz4, and return once Kafka has acknowledged every one.

    Raises:
        BenchError: it has not.
    """
    now = datetime.now(UTC)
    with Publisher(settings) as publisher:
        for line, item in enumerate(items, 1):
            publisher.send(Row(line, item.message, item.stream), now=now)
    report = publisher.report
    if report.delivered != len(items):
        reasons = [*report.failures, *report.rejections] or [(0, "no reason was told")]
        raise BenchError(f"{report.delivered:,} of {len(items):,} messages were published: {reasons[0][1]}")
