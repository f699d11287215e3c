"""Sentiment over time, as `newsquake trends` shows it: one series a topic over equal buckets of event time.

Read from the view `trend_minute`, so that `newsquake_reader` is role enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, DateTime, Numeric, Text, column, func, select, table

_TEXTS = (column(name, Text) for name in ("topic", "stream", "lang"))
_COUNTS = (column(name, BigInteger) for name in ("n", "negative", "neutral", "positive"))
_view = table(
    "trend_minute", column("bucket", DateTime(timezone=True)), *_TEXTS, *_COUNTS, column("mean_score", Numeric)
)


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
    newest: datetime | None = connection.execute(select(func.max(_view.c.bucket))).scalar_one()
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
    index = func.floor(func.extract("epoch", _view.c.bucket - since) / bucket.total_seconds())
    query = (
        select(
            _view.c.topic,
            index.label("slot"),
            func.sum(_view.c.n),
            func.sum(_view.c.negative),
            func.sum(_view.c.neutral),
            func.sum(_view.c.positive),
            func.sum(_view.c.mean_score * _view.c.n),
        )
        .where(_view.c.bucket >= since, _view.c.bucket < until)
        .group_by(_view.c.topic, "slot")
        .order_by(_view.c.topic, "slot")
    )
    if topics:
        query = query.where(_view.c.topic.in_(topics))
    if stream:
        query = query.where(_view.c.stream == stream)
    if lang:
        query = query.where(_view.c.lang == lang)
    buckets = max(1, -((since - until) // bucket))
    by_topic: dict[str, list[tuple[int, int, int, int, int, float]]] = {}
    for topic, number, *counts in connection.execute(query):
        n, negative, neutral, positive, score = counts
        cell = (int(number), int(n), int(negative), int(neutral), int(positive), float(score))
        by_topic.setdefault(topic, []).append(cell)
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
