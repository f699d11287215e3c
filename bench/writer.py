"""How fast the batch writer stores documents, against plain INSERT and bare COPY into a table of the same columns.

The writer does more than its peers: it drops duplicates, keeps scores and rollups, and is indexed. Rounds of all three
alternate on one embedded PostgreSQL (fsync on); the medians and their ratios are printed.
"""

import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from pydantic import SecretStr
from sqlalchemy import Engine, text

from bench.machine import machine
from newsquake.servers.postgres import Postgres
from storage import migrate
from storage.engine import open_engine
from storage.settings import StorageSettings
from storage.writer import BatchWriter, ScoredDocument

BATCH, BATCHES, ROUNDS = 512, 20, 5
START = datetime(2026, 3, 10, tzinfo=UTC)
COLUMNS = (
    "published_at", "key", "source", "id", "stream", "lang", "text", "entities", "topic", "sentiment", "negative",
    "neutral", "positive", "confidence",
)  # fmt: skip


def batch() -> list[ScoredDocument]:
    """Documents never seen before, over an hour of event time, 20 topics, both streams."""
    made = []
    for n in range(BATCH):
        sentiment = ("negative", "neutral", "positive")[n % 3]
        made.append(
            ScoredDocument(
                key=uuid.uuid4(),
                published_at=START + timedelta(seconds=7 * n),
                source=f"source-{n % 30}",
                id=uuid.uuid4().hex,
                stream="news" if n % 2 else "comment",
                lang="zh" if n % 3 else "en",
                title=None,
                text="Operating profit rose on strong demand while margins held, the company said. " * 2,
                url=None,
                author=None,
                entities=["A"],
                content_hash=n,
                topic=f"topic-{n % 20}",
                sentiment=sentiment,
                negative=0.2,
                neutral=0.3,
                positive=0.5,
                confidence=0.5,
            )
        )
    return made


def insert(engine: Engine, documents: list[ScoredDocument]) -> None:
    """What one would write first: executemany of a plain INSERT."""
    names = ", ".join(COLUMNS)
    values = ", ".join(f":{name}" for name in COLUMNS)
    rows = [{name: getattr(document, name) for name in COLUMNS} for document in documents]
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO plain ({names}) VALUES ({values})"), rows)


def copy(engine: Engine, documents: list[ScoredDocument]) -> None:
    """The ceiling: COPY into a table without an index."""
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor, cursor.copy(f"COPY plain ({', '.join(COLUMNS)}) FROM STDIN") as out:
            for document in documents:
                out.write_row([getattr(document, name) for name in COLUMNS])


def rate(write: Callable[[list[ScoredDocument]], object]) -> float:
    """Documents a second over one round."""
    batches = [batch() for _ in range(BATCHES)]
    began = time.perf_counter()
    for documents in batches:
        write(documents)
    return BATCH * BATCHES / (time.perf_counter() - began)


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="newsquake-bench-"))
    server = Postgres(folder / "postgres", folder / "postgres.log")
    server.start()
    try:
        engine = open_engine(StorageSettings(url=SecretStr(server.url)))
        migrate.upgrade(engine)
        with engine.begin() as connection:
            types = "timestamptz uuid text text text text text text[] text text real real real real".split()
            columns = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS, types, strict=True))
            connection.execute(text(f"CREATE TABLE plain ({columns})"))
        writer = BatchWriter(engine, "bench")
        ways: dict[str, Callable[[list[ScoredDocument]], object]] = {
            "batch writer": writer.write,
            "plain INSERT": lambda documents: insert(engine, documents),
            "bare COPY": lambda documents: copy(engine, documents),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS + 1):
            for name, write in ways.items():
                measured = rate(write)
                if number:  # the first round warms up
                    found[name].append(measured)
        engine.dispose()
    finally:
        server.stop(3)
        shutil.rmtree(folder, ignore_errors=True)
    typer.echo(" · ".join(f"{name} {value}" for name, value in machine().items()))
    ours = statistics.median(found["batch writer"])
    for name, rates in found.items():
        median = statistics.median(rates)
        span = f"{min(rates):,.0f} to {max(rates):,.0f}"
        typer.echo(f"{name:14} {median:9,.0f} documents/s ({span}); the writer is {ours / median:.2f} x that")
    return 0


if __name__ == "__main__":
    sys.exit(main())
