"""Traffic for the tests: counts by minute as arrays, and documents as rows of a database."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, Table, func, insert, select, text

from alerts.assess import Spike
from alerts.episodes import Book, Change, Examine
from alerts.evaluate import evaluate
from alerts.evidence import Confirmed, Document, Evidence, confirm
from alerts.series import ALL, MINUTE, STREAMS, Counts, Rollups, Series
from alerts.settings import AlertsSettings
from storage.tables import (
    documents,
    entity_minute,
    models,
    scores,
    sentiment_hour,
    sentiment_minute,
    source_hour,
    stream_progress,
)

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
TOPICS = ("debt", "energy", "financials", "markets", "metals")
SETTINGS = AlertsSettings()


class Traffic:
    """Messages of five topics in two streams, from a Monday's midnight; `n`, `negative`: [topic, stream, minute]."""

    def __init__(self, days: int) -> None:
        self.n = np.zeros((len(TOPICS), len(STREAMS), days * 1440), dtype=np.int64)
        self.negative = np.zeros_like(self.n)

    @classmethod
    def stationary(
        cls, seed: int, days: int, *, hourly: float = 60.0, share: float = 0.22, surge: dict[int, float] | None = None
    ) -> "Traffic":
        """Over-dispersed: every series' rate changes by the hour (squared variation 0.15); quiet at night.

        `surge` multiplies the rates of all topics in some hours, counted from the start.
        """
        random = np.random.default_rng(seed)
        traffic = cls(days)
        hour = np.arange(days * 24) % 24
        profile = np.where((hour >= 7) & (hour < 19), 1.5, 0.5)
        for index, factor in (surge or {}).items():
            profile[index] *= factor
        for topic, size in enumerate((0.05, 0.1, 0.15, 0.3, 0.4)):
            for stream in range(len(STREAMS)):
                rate = hourly * size / 2 * profile * random.gamma(1 / 0.15, 0.15, hour.size)
                portion = random.beta(share * 40, (1 - share) * 40, hour.size)
                traffic.n[topic, stream] = random.poisson(np.repeat(rate / 60, 60))
                traffic.negative[topic, stream] = random.binomial(traffic.n[topic, stream], np.repeat(portion, 60))
        return traffic

    def add(self, topic: str, stream: str, start: datetime, minutes: int, *, n: int, negative: int) -> "Traffic":
        """The same number of further messages in each of some minutes."""
        first = (start - MONDAY) // MINUTE
        where = (TOPICS.index(topic), STREAMS.index(stream), slice(first, first + minutes))
        self.n[where] += n
        self.negative[where] += negative
        return self

    def rollups(self, days: int = 28) -> Rollups:
        """What `alerts.evaluate` reads, for all minutes at once."""
        series = tuple(Series(topic, stream) for topic in (*TOPICS, ALL) for stream in (*STREAMS, ALL))
        n, negative = (_with_sums(counts) for counts in (self.n, self.negative))
        hours = [_hours(counts, days) for counts in (n, negative)]
        return Rollups(series, MONDAY, n, negative, MONDAY - timedelta(days=days), *hours)


def _with_sums(counts: Counts) -> Counts:
    streams = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)
    whole = np.concatenate([streams, streams.sum(axis=0, keepdims=True)], axis=0)
    return whole.reshape(-1, counts.shape[-1])


def _hours(counts: Counts, days: int) -> Counts:
    hourly = counts.reshape(counts.shape[0], -1, 60).sum(axis=-1)
    return np.concatenate([np.zeros((counts.shape[0], days * 24), dtype=np.int64), hourly], axis=1)


def believe(spike: Spike) -> Confirmed | None:
    """An examiner that finds every message genuine."""
    return confirm(spike, Evidence(spike.observed, 9, spike.observed), SETTINGS)


def judge(
    traffic: Traffic, start: datetime, end: datetime, *, examine: Examine = believe, cuts: Sequence[datetime] = ()
) -> list[Change]:
    """Evaluate from `start` to `end`, cut into pieces at `cuts`."""
    rollups, book, changes = traffic.rollups(), Book(), list[Change]()
    edges = sorted({start, end, *(cut for cut in cuts if start < cut < end)})
    for first, last in pairwise(edges):
        changes += evaluate(rollups, first, last, book, examine, SETTINGS)
    return changes


def document(
    number: int,
    at: datetime,
    *,
    words: str | None = None,
    source: str | None = None,
    author: str | None = None,
    entities: Sequence[str] = ("Merrowdale Bank",),
    stream: str = "comment",
) -> Document:
    """A negative comment like no other unless `words` are given; sources go round."""
    written = words or " ".join(hashlib.md5(f"{number}-{part}".encode()).hexdigest()[:9] for part in range(8))
    digest = int.from_bytes(hashlib.md5(written.encode()).digest()[:7], "big")
    name = source or f"source-{number % 4}"
    key = str(uuid.UUID(int=(int(at.timestamp()) << 64) + number))
    return Document(at, key, name, stream, author, written, tuple(entities), digest, -0.9)


def store(
    engine: Engine,
    found: Sequence[Document],
    *,
    topic: str = "financials",
    sentiment: str = "negative",
    received_at: datetime | None = None,
    lang: str = "en",
) -> None:
    """Store documents with their scores and rollups, all of one topic and sentiment; as they came unless told when."""
    with engine.begin() as connection:
        for day in {item.published_at.date() for item in found}:
            connection.execute(text("SELECT ensure_document_day(:day)"), {"day": day})
        model = connection.execute(select(models.c.model_id)).scalar_one_or_none()
        if model is None:
            new = insert(models).values(name="test", first_used=MONDAY).returning(models.c.model_id)
            model = connection.execute(new).scalar_one()
        connection.execute(insert(documents), [_document_row(item, received_at, lang) for item in found])
        low, high = (0.9, 0.05) if sentiment == "negative" else (0.05, 0.9)
        score = {"model_id": model, "topic": topic, "sentiment": sentiment, "negative": low, "positive": high}
        score |= {"neutral": 0.05, "score": high - low, "confidence": 0.9}
        rows = [{"published_at": item.published_at, "key": uuid.UUID(item.key), **score} for item in found]
        connection.execute(insert(scores), rows)
        count_again(connection)


def count_again(connection: Connection) -> None:
    """Make the rollups what the stored documents say."""
    doc, named = documents.c, func.unnest(documents.c.entities).table_valued("name", joins_implicitly=True)
    minute, hour = (func.date_trunc(unit, doc.published_at, "UTC") for unit in ("minute", "hour"))
    _count(connection, sentiment_minute, topic=scores.c.topic, bucket=minute, stream=doc.stream, lang=doc.lang)
    _count(connection, sentiment_hour, topic=scores.c.topic, bucket=hour, stream=doc.stream, lang=doc.lang)
    _count(connection, source_hour, bucket=hour, source=doc.source, stream=doc.stream)
    _count(connection, entity_minute, bucket=minute, entity=named.c.name, stream=doc.stream)


def _count(connection: Connection, table: Table, **keys: ColumnElement[Any]) -> None:
    connection.execute(table.delete())
    kinds = [func.count().filter(scores.c.sentiment == kind) for kind in ("negative", "neutral", "positive")]
    query = select(*keys.values(), func.count(), *kinds, func.sum(scores.c.score)).group_by(*keys.values())
    query = query.where(documents.c.published_at == scores.c.published_at, documents.c.key == scores.c.key)
    columns = [*keys, "n", "negative", "neutral", "positive", "score_sum"]
    connection.execute(insert(table).from_select(columns, query))


def _document_row(item: Document, received_at: datetime | None, lang: str) -> dict[str, object]:
    return {
        "published_at": item.published_at,
        "key": uuid.UUID(item.key),
        "source": item.source,
        "id": item.key,
        "stream": item.stream,
        "lang": lang,
        "title": None,
        "text": item.text,
        "author": item.author,
        "entities": list(item.entities),
        "content_hash": item.content_hash,
        "received_at": received_at or item.published_at,
    }


def read_to_the_end(engine: Engine, event_time: datetime, now: datetime) -> None:
    """One partition without a backlog, whose newest message is of `event_time`."""
    row = {"topic": "comments", "partition": 0, "next_offset": 9, "end_offset": 9, "event_time": event_time}
    with engine.begin() as connection:
        connection.execute(stream_progress.delete())
        connection.execute(insert(stream_progress).values(**row, seen_at=now, updated_at=now))
