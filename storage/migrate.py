"""Schema migrations: `upgrade` brings a database to this release's revision, `check` says whether it is there.

Safe to run from several processes at once: an advisory lock lets one work while the others wait.
"""

from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_fixed, wait_random

from storage.errors import DatabaseUnreachable, SchemaMissing, TransactionAborted
from storage.faults import meaning

PATIENCE = 5.0  # seconds that a long-lived part gives the database at its start
_TRIES = 5  # of an upgrade

log = structlog.get_logger(__name__)

_ROLES = Path(__file__).with_name("roles.sql").read_text("utf-8")
_LOCK = 0x6E657773  # any fixed number: the lock's name within the database


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate up to `revision` in one transaction, again where it loses a deadlock against workers that write.

    Raises:
        SchemaMissing: the database is newer than this release.
        StorageError: as the other parts of this package.
    """
    for attempt in Retrying(
        retry=retry_if_exception_type(TransactionAborted),
        wait=wait_random(0, 1),  # seconds
        stop=stop_after_attempt(_TRIES),
        reraise=True,
    ):
        with attempt:
            _upgrade(engine, revision)


def _upgrade(engine: Engine, revision: str) -> None:
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            _refuse_newer(MigrationContext.configure(connection).get_current_revision())
            command.upgrade(_config(connection), revision)
            if revision == "head":
                _grant(connection)
    except DBAPIError as error:
        raise meaning(error) or error from error


def _grant(connection: Connection) -> None:
    """Make the roles, where they are missing and this user may, and grant them what they are for."""
    driver: Any = connection.connection.driver_connection
    driver.add_notice_handler(_warn)
    try:
        connection.exec_driver_sql(_ROLES.replace("%", "%%"))
    finally:
        driver.remove_notice_handler(_warn)


def _warn(notice: Any) -> None:
    if notice.severity_nonlocalized == "WARNING":
        log.warning("roles_incomplete", reason=notice.message_primary, hint=notice.message_hint)


def downgrade(engine: Engine, revision: str) -> None:
    """Migrate down to `revision` (`base` removes everything, data too)."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.downgrade(_config(connection), revision)


def head() -> str:
    """The newest revision that this release knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _refuse_newer(current: str | None) -> None:
    """Raises `SchemaMissing` where `current` is no revision of this release."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise SchemaMissing(
            f"the database is newer than this release: at revision {current}, while this one ends at {head()}; install "
            "the release that upgraded it"
        )


def check(engine: Engine, *, patience: float = 0) -> str:
    """The database's revision; raises `SchemaMissing` unless it is this release's, and other `StorageError`s.

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
        _refuse_newer(current)
        found = f"is at revision {current}" if current else "has no Newsquake schema"
        raise SchemaMissing(f"the database {found}, this release needs {head()}: run `newsquake db upgrade`")
    return current


def _revision(engine: Engine) -> str | None:
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise meaning(error) or error from error
