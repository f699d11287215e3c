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


_COUNTS = """count(*) AS n, count(*) FILTER (WHERE sentiment = 'negative') AS negative,
    count(*) FILTER (WHERE sentiment = 'neutral') AS neutral,
    count(*) FILTER (WHERE sentiment = 'positive') AS positive,
    round(sum(score)::numeric, 4) AS score_sum"""
_ROWS = "documents JOIN scores USING (published_at, key)"
_SUMS = "n, negative, neutral, positive, round(score_sum::numeric, 4) AS score_sum"
_KEYS = {
    "sentiment_minute": ("minute", "topic, stream, lang"),
    "sentiment_hour": ("hour", "topic, stream, lang"),
    "sentiment_day": ("day", "topic, stream, lang"),
    "source_hour": ("hour", "source, stream"),
    "entity_minute": ("minute", "entity, stream"),
}
ROLLUPS = tuple(_KEYS)


def recount(database: Engine, table: str = "sentiment_minute") -> list[tuple[object, ...]]:
    """What a rollup must be, counted from the rows."""
    unit, keys = _KEYS[table]
    rows = f"{_ROWS} CROSS JOIN unnest(entities) AS entity" if "entity" in keys else _ROWS
    order = ", ".join(str(place + 1) for place in range(1 + len(keys.split(", "))))
    query = f"""SELECT date_trunc('{unit}', published_at, 'UTC') AS bucket, {keys}, {_COUNTS}
        FROM {rows} WHERE counted GROUP BY {order} ORDER BY {order}"""
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def rollups(database: Engine, table: str = "sentiment_minute") -> list[tuple[object, ...]]:
    """What it is."""
    keys = _KEYS[table][1]
    order = ", ".join(str(place + 1) for place in range(1 + len(keys.split(", "))))
    query = f"SELECT bucket, {keys}, {_SUMS} FROM {table} WHERE n <> 0 ORDER BY {order}"
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def all_rollups(database: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every rollup as it is."""
    return {table: rollups(database, table) for table in ROLLUPS}


def all_recounts(database: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every rollup as it must be."""
    return {table: recount(database, table) for table in ROLLUPS}


def stored(database: Engine) -> int:
    """How many documents are stored."""
    with database.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM documents")).scalar_one())
