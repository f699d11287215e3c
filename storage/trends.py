"""Sentiment over time, as `newsquake trends` shows it: one series a topic over equal buckets of event time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from storage.tables import sentiment_minute as rollup


@dataclass(frozen=True, slots=True)
class Trend:
    """One topic from `since` on: totals, and counts per bucket (oldest first, empty ones included)."""

    topic: str
    n: int
    negative: int
    neutral: int
    positive: int
    negative_share: float
    mean_score: float
    n_by_bucket: list[int]
    negative_by_bucket: list[int]


def newest_minute(connection: Connection) -> datetime | None:
    """The latest event-time minute that is stored."""
    newest: datetime | None = connection.execute(select(func.max(rollup.c.bucket))).scalar_one()
    return newest


def trends(
    connection: Connection,
    *,
    since: datetime,
    until: datetime,
    bucket: timedelta,
    topics: Sequence[str] = (),
    stream: str | None = None,
    lang: str | None = None,
) -> list[Trend]:
    """Trends of event times in [since, until), the topics with most messages first."""
    index = func.floor(func.extract("epoch", rollup.c.bucket - since) / bucket.total_seconds())
    query = (
        select(
            rollup.c.topic,
            index.label("slot"),
            func.sum(rollup.c.n),
            func.sum(rollup.c.negative),
            func.sum(rollup.c.neutral),
            func.sum(rollup.c.positive),
            func.sum(rollup.c.score_sum),
        )
        .where(rollup.c.bucket >= since, rollup.c.bucket < until, rollup.c.n > 0)
        .group_by(rollup.c.topic, "slot")
        .order_by(rollup.c.topic, "slot")
    )
    if topics:
        query = query.where(rollup.c.topic.in_(topics))
    if stream:
        query = query.where(rollup.c.stream == stream)
    if lang:
        query = query.where(rollup.c.lang == lang)
    buckets = max(1, -((since - until) // bucket))
    by_topic: dict[str, list[tuple[int, int, int, int, int, float]]] = {}
    for topic, number, *counts in connection.execute(query):
        n, negative, neutral, positive, score = counts
        by_topic.setdefault(topic, []).append((int(number), int(n), int(negative), int(neutral), int(positive), score))
    found = [_trend(topic, cells, buckets) for topic, cells in by_topic.items()]
    return sorted(found, key=lambda trend: (-trend.n, trend.topic))


def _trend(topic: str, cells: list[tuple[int, int, int, int, int, float]], buckets: int) -> Trend:
    volume, negatives = [0] * buckets, [0] * buckets
    for number, n, negative, *_ in cells:
        volume[number], negatives[number] = n, negative
    n, negative = sum(volume), sum(negatives)
    return Trend(
        topic=topic,
        n=n,
        negative=negative,
        neutral=sum(cell[3] for cell in cells),
        positive=sum(cell[4] for cell in cells),
        negative_share=round(negative / n, 4),
        mean_score=round(sum(cell[5] for cell in cells) / n, 4),
        n_by_bucket=volume,
        negative_by_bucket=negatives,
    )
