"""What people ask, a typical question or two for each view and function that people are given.

Those of other releases are left out: what a database does not have is named. Parameters vary with every call.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from bench.storage.documents import ENTITIES, SOURCES, names, words
from models.labels import TOPICS

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Period:
    """Event times that are stored: [start, end)."""

    start: datetime
    end: datetime

    def within(self, chance: random.Random, width: timedelta) -> dict[str, datetime]:
        """A window of this width, or all there is; recent ones are asked for more often."""
        room = max(self.end - self.start - width, timedelta(0))
        until = self.end - room * chance.random() ** 3
        return {"since": max(self.start, until - width), "until": until}


Draw = Callable[[random.Random, Period], Parameters]


@dataclass(frozen=True, slots=True)
class Question:
    """One question: what it asks, in words and in SQL, and how its parameters are drawn."""

    view: str
    asks: str
    sql: str
    draw: Draw


def _topic(**width: int) -> Draw:
    def draw(chance: random.Random, period: Period) -> Parameters:
        return {"topic": chance.choice(TOPICS), **period.within(chance, timedelta(**width))}

    return draw


def _window(**width: int) -> Draw:
    return lambda chance, period: period.within(chance, timedelta(**width))


def _nothing(chance: random.Random, period: Period) -> Parameters:
    return {}


def _source(chance: random.Random, period: Period) -> Parameters:
    return {"source": chance.choice(names("source", SOURCES)), **period.within(chance, timedelta(days=7))}


def _entity(chance: random.Random, period: Period) -> Parameters:
    return {"entity": names("entity", ENTITIES)[min(int(chance.paretovariate(0.6)), ENTITIES) - 1]}


def _words(lang: str) -> Draw:
    known = words(lang, 200, seed=1)
    return lambda chance, period: {"query": chance.choice(known)}


def _pairs() -> Draw:
    known = words("en", 200, seed=2)
    return lambda chance, period: {"query": " ".join(chance.sample(known, 2)), "since": period.end - timedelta(days=7)}


def questions() -> list[Question]:
    """All questions."""
    return [*_trends(), *_now(), *_details(), *_search()]


def _trends() -> list[Question]:
    return [
        Question(
            "trend_minute",
            "one topic by minute, all streams and languages, over 6 hours",
            "SELECT bucket, sum(n), sum(negative) FROM trend_minute "
            "WHERE topic = :topic AND bucket >= :since AND bucket < :until GROUP BY bucket ORDER BY bucket",
            _topic(hours=6),
        ),
        Question(
            "trend_hourly",
            "one topic by hour over 7 days",
            "SELECT bucket, sum(n), sum(negative) FROM trend_hourly "
            "WHERE topic = :topic AND bucket >= :since AND bucket < :until GROUP BY bucket ORDER BY bucket",
            _topic(days=7),
        ),
        Question(
            "trend_hourly",
            "all rows of one topic over 24 hours",
            "SELECT * FROM trend_hourly WHERE topic = :topic AND bucket >= :since AND bucket < :until ORDER BY bucket",
            _topic(hours=24),
        ),
        Question(
            "trend_daily",
            "all topics by day over 90 days",
            "SELECT bucket, topic, sum(n), sum(negative) FROM trend_daily "
            "WHERE bucket >= :since AND bucket < :until GROUP BY 1, 2 ORDER BY 1, 2",
            _window(days=90),
        ),
        Question(
            "trend()",
            "one topic by hour over 7 days, gaps filled",
            "SELECT * FROM trend(:topic, :since, '1 hour', :until)",
            _topic(days=7),
        ),
        Question(
            "trend()",
            "one topic in 15 minutes' steps over 24 hours",
            "SELECT * FROM trend(:topic, :since, '15 minutes', :until)",
            _topic(hours=24),
        ),
    ]


def _now() -> list[Question]:
    return [
        Question(
            "topic_now", "every topic, most negatives first", "SELECT * FROM topic_now ORDER BY negative DESC", _nothing
        ),
        Question(
            "entity_now",
            "the 20 entities with most negatives",
            "SELECT * FROM entity_now ORDER BY negative DESC LIMIT 20",
            _nothing,
        ),
        Question("entity_now", "one entity", "SELECT * FROM entity_now WHERE entity = :entity", _entity),
        Question("open_alerts", "all that are open", "SELECT * FROM open_alerts ORDER BY opened_at DESC", _nothing),
    ]


def _details() -> list[Question]:
    return [
        Question(
            "worst_documents",
            "the 20 worst of a topic in a day",
            "SELECT * FROM worst_documents WHERE topic = :topic AND published_at >= :since AND published_at < :until "
            "ORDER BY score LIMIT 20",
            _topic(days=1),
        ),
        Question(
            "worst_documents",
            "the 20 worst of a week",
            "SELECT * FROM worst_documents WHERE published_at >= :since AND published_at < :until "
            "ORDER BY score LIMIT 20",
            _window(days=7),
        ),
        Question(
            "source_mix",
            "the sources of 6 hours, the largest first",
            "SELECT * FROM source_mix WHERE bucket >= :since AND bucket < :until ORDER BY bucket, n DESC",
            _window(hours=6),
        ),
        Question(
            "source_mix",
            "one source over 7 days",
            "SELECT * FROM source_mix WHERE source = :source AND bucket >= :since AND bucket < :until ORDER BY bucket",
            _source,
        ),
    ]


def _search() -> list[Question]:
    query = "SELECT * FROM search_documents(:query)"
    recent = "SELECT * FROM search_documents(:query, since => :since)"
    return [
        Question("search_documents()", "one English word, the newest 50", query, _words("en")),
        Question("search_documents()", "four Chinese characters", query, _words("zh")),
        Question("search_documents()", "two English words in the last 7 days", recent, _pairs()),
    ]


_HAS = text("""
SELECT viewname::text FROM pg_views WHERE schemaname = current_schema()
UNION ALL SELECT proname || '()' FROM pg_proc WHERE pronamespace = current_schema()::regnamespace""")
_VIEWS = text("SELECT viewname::text FROM pg_views WHERE schemaname = current_schema() ORDER BY 1")


def known(engine: Engine) -> tuple[list[Question], list[str], list[str]]:
    """The questions that this database can answer, the views it lacks, and its views that nobody asks."""
    with engine.connect() as connection:
        there = set(connection.execute(_HAS).scalars())
        views: Sequence[str] = connection.execute(_VIEWS).scalars().all()
    every = questions()
    missing = dict.fromkeys(question.view for question in every if question.view not in there)
    unasked = [view for view in views if view not in {question.view for question in every}]
    return [question for question in every if question.view in there], list(missing), unasked
