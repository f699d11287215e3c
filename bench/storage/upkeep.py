"""What a document takes on disk, by table with its indexes, and how long it takes to drop a day of documents."""

import statistics
import time
from typing import Any

from sqlalchemy import Engine, text

from storage.partitions import document_days

_SIZES = text("""
SELECT parent.relname AS name, sum(pg_table_size(part.relid))::bigint AS heap,
       sum(pg_indexes_size(part.relid))::bigint AS indexes
FROM pg_class AS parent CROSS JOIN pg_partition_tree(parent.oid) AS part
WHERE parent.relnamespace = current_schema()::regnamespace AND parent.relkind IN ('r', 'p')
  AND NOT parent.relispartition
GROUP BY 1
UNION ALL
SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND NOT relispartition
  AND NOT EXISTS (SELECT FROM pg_partition_tree(pg_class.oid))
ORDER BY 1""")
_COUNT = text("""
SELECT count(*) FROM documents
WHERE published_at >= CAST(:day AS date)::timestamp AT TIME ZONE 'UTC'
  AND published_at < (CAST(:day AS date) + 1)::timestamp AT TIME ZONE 'UTC'""")
_DROP = text("SELECT drop_document_day(:day)")


def sizes(engine: Engine, documents: int) -> dict[str, Any]:
    """Bytes a document, in all and by table; a table that takes less than a byte is left out."""
    with engine.connect() as connection:
        rows = connection.execute(_SIZES).all()
    by_table = {
        row.name: {"bytes": row.heap / documents, "index_bytes": row.indexes / documents}
        for row in rows
        if (row.heap + row.indexes) >= documents
    }
    total = sum(row.heap + row.indexes for row in rows)
    return {"total_mb": total / 1e6, "bytes_per_document": total / documents, "tables": by_table}


def retention(engine: Engine, count: int) -> dict[str, Any]:
    """Drop the `count` oldest days, a transaction each as `newsquake db retention` does; the slowest counts.

    `locked_ms` is how long others may have to wait: the server removes the files after it has let go of the locks.
    """
    oldest = document_days(engine)[:count]
    took, locked, documents = [], [], []
    for day in oldest:
        with engine.connect() as connection:
            documents.append(int(connection.execute(_COUNT, {"day": day.day}).scalar_one()))
        began = time.perf_counter()
        with engine.begin() as connection:
            connection.execute(_DROP, {"day": day.day})
            locked.append((time.perf_counter() - began) * 1000)
        took.append((time.perf_counter() - began) * 1000)
    return {
        "day_ms": statistics.median(took),
        "slowest_ms": max(took),
        "locked_ms": statistics.median(locked),
        "days": len(took),
        "documents_a_day": statistics.mean(documents),
        "mb_a_day": statistics.mean(day.bytes for day in oldest) / 1e6,
    }
