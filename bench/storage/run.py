"""A whole run: a database is filled, questioned, written to beside its peers, and loses some days."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select

from bench.engine.remote import naming
from bench.engine.rounds import Watch
from bench.errors import BenchError, BenchUsage
from bench.machine import machine
from bench.storage import ways
from bench.storage.database import Database
from bench.storage.documents import FIRST_DAY
from bench.storage.fill import add_alerts, fill, settle
from bench.storage.ingest import STANDARD, Source, at_once, by_size, figures, sustained
from bench.storage.latency import ask, fields, worst_by_view
from bench.storage.questions import Period, known
from bench.storage.upkeep import retention, sizes
from storage.tables import document_keys

PACKAGES = ("psycopg", "sqlalchemy")
_BYTES, _LOG = 4_000, 2_000_000_000
"""Room that a document needs, and what the server's log of changes may take beside all documents."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure."""

    documents: int = 200_000
    days: int = 100
    sizes: Sequence[int] = (64, STANDARD, 2048)
    turn: int = 5_120
    """Documents that a way stores in a turn."""
    rounds: int = 3
    sustained: int = 100_000
    """Documents that the writer stores without a break."""
    writers: Sequence[int] = (1, 2, 3, 4)
    calls: int = 60
    dropped: int = 5
    """Days."""
    tuned: bool = False
    """With the settings of `docker-compose.yml` in place of those out of the box."""


def run(request: Request, watch: Watch) -> dict[str, Any]:
    """Measure and return the JSON document.

    Raises:
        BenchUsage: the disk is too small for so many documents.
        BenchError: a part does not run, or what is stored is not what was made.
    """
    with tempfile.TemporaryDirectory(prefix="newsquake-bench-") as name:
        folder = Path(name)
        free, needed = shutil.disk_usage(folder).free, request.documents * _BYTES + _LOG
        if free < needed:
            raise BenchUsage(f"{folder.parent} has {free / 1e9:.0f} GB free, this takes {needed / 1e9:.0f}: set TMPDIR")
        with Database(folder, tuned=request.tuned) as database:
            return measure(database, request, folder / "processes.log", watch)


def measure(database: Database, request: Request, log: Path, watch: Watch) -> dict[str, Any]:
    """The same with a server that runs already and has nothing stored.

    Raises:
        BenchError: a part does not run, or what is stored is not what was made.
    """
    engine = database.engine()
    try:
        with naming("filling"):
            fill(database.url, request.documents, request.days, log, watch)
        add_alerts(engine, 400, 12)
        settle(engine)
        _count(engine, request.documents, "filled")
        found: dict[str, Any] = {"documents": request.documents, "days": request.days, "tuned": request.tuned}
        found["size"] = sizes(engine, request.documents)
        found |= _queries(engine, request, watch)
        found |= _ingest(database, engine, request, log, watch)
        found["retention"] = retention(engine, request.dropped)
    finally:
        engine.dispose()
    return found | {"machine": machine(PACKAGES) | {"postgresql": database.version()}}


def _count(engine: Engine, documents: int, when: str) -> None:
    with engine.connect() as connection:
        stored = connection.execute(select(func.count()).select_from(document_keys)).scalar_one()
    if stored != documents:
        raise BenchError(f"{stored:,} documents are stored when {when}, {documents:,} were made")


def _queries(engine: Engine, request: Request, watch: Watch) -> dict[str, Any]:
    questions, missing, unasked = known(engine)
    period = Period(FIRST_DAY, FIRST_DAY + timedelta(days=request.days))
    answered = ask(engine, questions, period, calls=request.calls, watch=watch)
    return {
        "query_p95_ms": worst_by_view(answered),
        "queries": fields(answered),
        "views_missing": missing,
        "views_not_asked": unasked,
    }


def _ingest(database: Database, engine: Engine, request: Request, log: Path, watch: Watch) -> dict[str, Any]:
    ways.prepare(engine)
    start = FIRST_DAY + timedelta(days=request.days)
    source = Source(start)
    rates = by_size(engine, source, request.sizes, documents=request.turn, rounds=request.rounds, watch=watch)
    if set(stored := ways.stored(engine)) != {source.made}:
        raise BenchError(f"peers stored {stored} documents and scores, each was given {source.made:,}")
    steady = sustained(engine, source, request.sustained, watch)
    _count(engine, request.documents + source.made, "ingested")
    standard = STANDARD if STANDARD in rates else request.sizes[0]
    found: dict[str, Any] = {way: figures(taken) | {"batch": standard} for way, taken in rates[standard].items()}
    found["writer"]["sustained_docs_per_s"] = steady
    found["by_batch"] = {str(size): {way: figures(taken) for way, taken in one.items()} for size, one in rates.items()}
    for peer in ways.WAYS[1:]:
        found[f"ratio_{peer}"] = found["writer"]["docs_per_s"] / found[peer]["docs_per_s"]
    with naming("writers at once"):
        together = at_once(database.url, start, request.writers, request.turn, log, watch)
    return found | {"writers": {str(count): {"docs_per_s": rate} for count, rate in together.items()}}
