"""The tables as SQLAlchemy Core knows them: what queries are written against.

Alembic owns the schema (`storage/migrations`); a test holds these columns against the migrated database.
"""

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

metadata = MetaData()
_timestamp = DateTime(timezone=True)

models = Table(
    "models",
    metadata,
    Column("model_id", SmallInteger, primary_key=True),
    Column("name", Text, nullable=False),
    Column("first_used", _timestamp, nullable=False),
    Column("active", Boolean, nullable=False),
)

document_keys = Table(
    "document_keys",
    metadata,
    Column("key", Uuid, primary_key=True),
    Column("published_at", _timestamp, nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("published_at", _timestamp, primary_key=True),
    Column("key", Uuid, primary_key=True),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("lang", Text, nullable=False),
    Column("title", Text),
    Column("text", Text, nullable=False),
    Column("url", Text),
    Column("author", Text),
    Column("entities", ARRAY(Text), nullable=False),
    Column("content_hash", BigInteger, nullable=False),
    Column("received_at", _timestamp, nullable=False),
)

scores = Table(
    "scores",
    metadata,
    Column("published_at", _timestamp, primary_key=True),
    Column("key", Uuid, primary_key=True),
    Column("model_id", SmallInteger, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("sentiment", Text, nullable=False),
    Column("negative", REAL, nullable=False),
    Column("neutral", REAL, nullable=False),
    Column("positive", REAL, nullable=False),
    Column("score", Double, nullable=False),
    Column("confidence", REAL, nullable=False),
    Column("counted", Boolean, nullable=False, default=True),
)

document_entities = Table(
    "document_entities",
    metadata,
    Column("entity", Text, primary_key=True),
    Column("published_at", _timestamp, primary_key=True),
    Column("key", Uuid, primary_key=True),
)

document_search = Table(
    "document_search",
    metadata,
    Column("published_at", _timestamp, nullable=False),
    Column("key", Uuid, nullable=False),
    Column("words", TSVECTOR, nullable=False),
)

index_queue = Table(
    "index_queue",
    metadata,
    Column("entry_id", BigInteger, primary_key=True),
    Column("keys", ARRAY(Uuid), nullable=False),
    Column("times", ARRAY(_timestamp), nullable=False),
)


def _rollup(name: str, *keys: str) -> Table:
    """Counts of documents by a bucket of event time (its start, UTC) and `keys`."""
    return Table(
        name,
        metadata,
        *(Column(key, _timestamp if key == "bucket" else Text, primary_key=True) for key in keys),
        *(Column(count, Integer, nullable=False) for count in ("n", "negative", "neutral", "positive")),
        Column("score_sum", Double, nullable=False),
    )


sentiment_minute = _rollup("sentiment_minute", "bucket", "topic", "stream", "lang")
sentiment_hour = _rollup("sentiment_hour", "bucket", "topic", "stream", "lang")
sentiment_day = _rollup("sentiment_day", "bucket", "topic", "stream", "lang")
source_hour = _rollup("source_hour", "bucket", "source", "stream")
entity_minute = _rollup("entity_minute", "bucket", "entity", "stream")

stream_progress = Table(
    "stream_progress",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("end_offset", BigInteger, nullable=False),
    Column("event_time", _timestamp),
    Column("seen_at", _timestamp),
    Column("updated_at", _timestamp, nullable=False),
    Column("topic_id", Uuid),
)

alert_cursor = Table(
    "alert_cursor",
    metadata,
    Column("only_row", Boolean, primary_key=True),
    Column("next_minute", _timestamp, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", BigInteger, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("test", Text, nullable=False),
    Column("window_minutes", Integer, nullable=False),
    Column("opened_at", _timestamp, nullable=False),
    Column("last_seen_at", _timestamp, nullable=False),
    Column("resolved_at", _timestamp),
    Column("expected", Double, nullable=False),
    Column("observed", Integer, nullable=False),
    Column("messages", Integer, nullable=False),
    Column("p_value", Double, nullable=False),
    Column("sources", Integer, nullable=False),
    Column("contents", Integer, nullable=False),
    Column("members", JSONB, nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("created_at", _timestamp, nullable=False),
    Column("rule", Text, nullable=False),
    Column("acknowledged_at", _timestamp),
    Column("acknowledged_by", Text),
    Column("told_at", _timestamp),
    Column("last_told_at", _timestamp),
    Column("owed_since", _timestamp),
    Column("escalated_at", _timestamp),
    Column("silence_id", BigInteger),
    Column("entity", Text, nullable=False),
    Column("languages", ARRAY(Text), nullable=False),
    Column("source_patterns", ARRAY(Text), nullable=False),
)

alert_events = Table(
    "alert_events",
    metadata,
    Column("event_id", BigInteger, primary_key=True),
    Column("alert_id", BigInteger, nullable=False),
    Column("at", _timestamp, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("recorded_at", _timestamp, nullable=False),
    Column("actor", Text),
    Column("note", Text),
)

notifications = Table(
    "notifications",
    metadata,
    Column("notification_id", BigInteger, primary_key=True),
    Column("event_id", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", _timestamp, nullable=False),
    Column("last_error", Text),
    Column("created_at", _timestamp, nullable=False),
    Column("sent_at", _timestamp),
    Column("reason", Text),
    Column("key", Uuid, nullable=False),
    Column("payload", JSONB, nullable=False),
)

rules = Table(
    "rules",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("author", Text, nullable=False),
    Column("updated_at", _timestamp, nullable=False),
)

silences = Table(
    "silences",
    metadata,
    Column("silence_id", BigInteger, primary_key=True),
    Column("topic", Text),
    Column("stream", Text),
    Column("entity", Text),
    Column("source_pattern", Text),
    Column("starts_at", _timestamp, nullable=False),
    Column("ends_at", _timestamp, nullable=False),
    Column("author", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", _timestamp, nullable=False),
    Column("lifted_at", _timestamp),
    Column("lifted_by", Text),
)
