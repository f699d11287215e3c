"""Five ways to store a batch of documents: the batch writer, and what one would write without it.

| way | stores | into |
| --- | --- | --- |
| `writer` | keys, documents, scores, five rollups, the queue of the indexes; each document once | Newsquake's tables |
| `executemany` | documents and scores, by psycopg's pipelined `executemany` of plain INSERTs | two tables like them |
| `insertmanyvalues` | the same by SQLAlchemy's INSERT … VALUES of many rows, with RETURNING | two more |
| `copy` | the same columns by COPY as one writes it, in its text format | one table without an index |
| `copy_binary` | the same in the binary format with types set: as fast as rows get in from Python | another one |

The peers drop no duplicates and keep no rollups. Their tables have the checks and indexes of the real ones, and no
partitions; those of COPY have neither.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Engine, MetaData, Table, insert, text

from storage.tables import documents, scores
from storage.writer import BatchWriter, ScoredDocument

Write = Callable[[Sequence[ScoredDocument]], object]
WAYS = ("writer", "executemany", "insertmanyvalues", "copy", "copy_binary")

_PEERS = """
CREATE SCHEMA executemany;
CREATE TABLE executemany.documents (LIKE documents INCLUDING ALL);
CREATE TABLE executemany.scores (LIKE scores INCLUDING ALL);
CREATE SCHEMA insertmanyvalues;
CREATE TABLE insertmanyvalues.documents (LIKE documents INCLUDING ALL);
CREATE TABLE insertmanyvalues.scores (LIKE scores INCLUDING ALL);
CREATE SCHEMA copy;
CREATE TABLE copy.documents (
    published_at timestamptz, key uuid, source text, id text, stream text, lang text, title text, text text, url text,
    author text, entities text[], content_hash bigint, topic text, sentiment text, negative real, neutral real,
    positive real, confidence real
);
CREATE SCHEMA copy_binary;
CREATE TABLE copy_binary.documents (LIKE copy.documents)"""
_TEXT, _BINARY = "COPY copy.documents FROM STDIN", "COPY copy_binary.documents FROM STDIN (FORMAT BINARY)"
_COLUMNS = (
    "published_at", "key", "source", "id", "stream", "lang", "title", "text", "url", "author", "entities",
    "content_hash", "topic", "sentiment", "negative", "neutral", "positive", "confidence",
)  # fmt: skip
_TYPES = (
    "timestamptz uuid text text text text text text text text text[] int8 text text float4 float4 float4 float4"
).split()
_ROW = attrgetter(*_COLUMNS)
_DOCUMENT, _SCORE = _COLUMNS[:12], ("published_at", "key", *_COLUMNS[12:])


def prepare(engine: Engine) -> None:
    """Make the peers' tables."""
    with engine.begin() as connection:
        connection.execute(text(_PEERS))


def ways(engine: Engine) -> dict[str, Write]:
    """Each way as a function of a batch, all on one engine."""
    plain, many = _tables("executemany"), _tables("insertmanyvalues")
    return {
        "writer": BatchWriter(engine, "bench").write,
        "executemany": lambda batch: _executemany(engine, plain, batch),
        "insertmanyvalues": lambda batch: _insertmanyvalues(engine, many, batch),
        "copy": lambda batch: _copy(engine, _TEXT, batch),
        "copy_binary": lambda batch: _copy(engine, _BINARY, batch),
    }


_COUNTS = text("""
SELECT (SELECT count(*) FROM executemany.documents), (SELECT count(*) FROM executemany.scores),
       (SELECT count(*) FROM insertmanyvalues.documents), (SELECT count(*) FROM insertmanyvalues.scores),
       (SELECT count(*) FROM copy.documents), (SELECT count(*) FROM copy_binary.documents)""")


def stored(engine: Engine) -> list[int]:
    """Rows in each table of the peers."""
    with engine.connect() as connection:
        return [int(count) for count in connection.execute(_COUNTS).one()]


def _tables(schema: str) -> tuple[Table, Table]:
    own = MetaData(schema=schema)
    return documents.to_metadata(own), scores.to_metadata(own)


def _rows(batch: Sequence[ScoredDocument]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    stored = [{name: getattr(document, name) for name in _DOCUMENT} for document in batch]
    scored = [
        {name: getattr(document, name) for name in _SCORE}
        | {"model_id": 1, "score": document.positive - document.negative}
        for document in batch
    ]
    return stored, scored


def _executemany(engine: Engine, tables: tuple[Table, Table], batch: Sequence[ScoredDocument]) -> None:
    with engine.begin() as connection:
        for table, rows in zip(tables, _rows(batch), strict=True):
            connection.execute(insert(table), rows)


def _insertmanyvalues(engine: Engine, tables: tuple[Table, Table], batch: Sequence[ScoredDocument]) -> None:
    """RETURNING is what makes SQLAlchemy write many rows a statement on psycopg."""
    with engine.begin() as connection:
        for table, rows in zip(tables, _rows(batch), strict=True):
            connection.execute(insert(table).returning(table.c.key), rows).all()


def _copy(engine: Engine, command: str, batch: Sequence[ScoredDocument]) -> None:
    with engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(command) as copy:
            if command == _BINARY:
                copy.set_types(_TYPES)
            for document in batch:
                copy.write_row(_ROW(document))
