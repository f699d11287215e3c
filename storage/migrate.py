"""Schema migrations: `upgrade` brings a database to this release's revision, `check` says whether it is there.

Safe to run from several processes at once: an advisory lock lets one work while the others wait.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from storage.errors import DatabaseUnreachable, SchemaMissing
from storage.faults import meaning

PATIENCE = 5.0  # seconds that a long-lived part gives the database at its start

_LOCK = 0x6E657773  # any fixed number: the lock's name within the database


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate up to `revision` in one transaction; raises `DatabaseUnreachable`."""
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            command.upgrade(_config(connection), revision)
    except OperationalError as error:
        raise meaning(error) or error from error


def downgrade(engine: Engine, revision: str) -> None:
    """Migrate down to `revision` (`base` removes everything, data too)."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.downgrade(_config(connection), revision)


def head() -> str:
    """The newest revision that this release knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def check(engine: Engine, *, patience: float = 0) -> str:
    """The database's revision; raises `SchemaMissing` unless it is this release's, `DatabaseUnreachable`.

    A database that does not answer is asked again for `patience` seconds: it may just be starting.
    """
    for attempt in Retrying(
        retry=retry_if_exception_type(DatabaseUnreachable),
        wait=wait_fixed(0.5),
        stop=stop_after_delay(patience),
        reraise=True,
    ):
        with attempt:
            current = _revision(engine)
    if current != head():
        found = f"is at revision {current}" if current else "has no Newsquake schema"
        raise SchemaMissing(f"the database {found}, this release needs {head()}: run `newsquake db upgrade`")
    return current


def _revision(engine: Engine) -> str | None:
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise meaning(error) or error from error
