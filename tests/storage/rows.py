"""Scored documents for tests, and the recount that rollups must equal."""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_DNS, uuid5

from sqlalchemy import Engine, text

from storage.writer import ScoredDocument

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SENTIMENTS = ("negative", "neutral", "positive")
TOPICS = ("financials", "energy", "macro")


def document(number: int, *, at: datetime | None = None, source: str = "wire") -> ScoredDocument:
    """Document `number` of `source`: its sentiment and topic follow from the number."""
    sentiment = SENTIMENTS[number % 3]
    shares = {name: 0.8 if name == sentiment else 0.1 for name in SENTIMENTS}
    return ScoredDocument(
        key=uuid5(NAMESPACE_DNS, f"{source}/{number}"),
        published_at=at or NOON + timedelta(seconds=number),
        source=source,
        id=str(number),
        stream="news" if number % 2 else "comment",
        lang="zh" if number % 5 == 0 else "en",
        title=None,
        text=f"Text {number}",
        url=None,
        author=None,
        entities=["A", "B"] if number % 7 == 0 else [],
        content_hash=number,
        topic=TOPICS[number % len(TOPICS)],
        sentiment=sentiment,
        negative=shares["negative"],
        neutral=shares["neutral"],
        positive=shares["positive"],
        confidence=0.8,
    )


_RECOUNT = text("""
    SELECT date_trunc('minute', published_at) AS bucket, topic, stream, lang, count(*) AS n,
           count(*) FILTER (WHERE sentiment = 'negative') AS negative,
           count(*) FILTER (WHERE sentiment = 'neutral') AS neutral,
           count(*) FILTER (WHERE sentiment = 'positive') AS positive,
           round(sum(score)::numeric, 4) AS score_sum
    FROM documents JOIN scores USING (published_at, key) WHERE counted
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4""")
_ROLLUPS = text("""
    SELECT bucket, topic, stream, lang, n, negative, neutral, positive, round(score_sum::numeric, 4) AS score_sum
    FROM sentiment_minute WHERE n <> 0 ORDER BY 1, 2, 3, 4""")


def recount(database: Engine) -> list[tuple[object, ...]]:
    """What the rollups must be, counted from the rows."""
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(_RECOUNT)]


def rollups(database: Engine) -> list[tuple[object, ...]]:
    """What the rollups are."""
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(_ROLLUPS)]


def stored(database: Engine) -> int:
    """How many documents are stored."""
    with database.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM documents")).scalar_one())
