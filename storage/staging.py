"""The way of a micro-batch into the database: COPY into a temporary table of the connection's own.

Statements then read `staging` as any other table. It is made once a connection, and empty again at each transaction's
end.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from storage.writer import ScoredDocument

_CREATE = text("""
CREATE TEMPORARY TABLE staging (
    published_at timestamptz, key uuid, source text, id text, stream text, lang text, title text, text text, url text,
    author text, entities text[], content_hash bigint, model_id smallint, topic text, sentiment text, negative real,
    neutral real, positive real, score double precision, confidence real
) ON COMMIT DELETE ROWS""")
_COPY = "COPY staging FROM STDIN (FORMAT BINARY)"
_TYPES = (
    "timestamptz uuid text text text text text text text text text[] int8 int2 text text "
    "float4 float4 float4 float8 float4"
).split()
_MADE = "newsquake.staging"


def prepare(connection: Connection) -> None:
    """Make the connection's staging table, in a transaction of its own, unless it has one."""
    if _MADE not in connection.info:
        connection.execute(_CREATE)
        connection.commit()
        connection.info[_MADE] = True


def stage(connection: Connection, batch: Sequence["ScoredDocument"], model_id: int) -> None:
    """Put `batch` into the staging table, for the rest of the transaction."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for document in batch:
            copy.write_row(_row(document, model_id))


def _row(document: "ScoredDocument", model_id: int) -> tuple[object, ...]:
    return (
        document.published_at,
        document.key,
        document.source,
        document.id,
        document.stream,
        document.lang,
        document.title,
        document.text,
        document.url,
        document.author,
        [entity for entity in dict.fromkeys(document.entities) if entity] if document.entities else [],
        document.content_hash,
        model_id,
        document.topic,
        document.sentiment,
        document.negative,
        document.neutral,
        document.positive,
        document.positive - document.negative,
        document.confidence,
    )
