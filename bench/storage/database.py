"""The server of a run: PostgreSQL as it is out of the box, fsync on, in a folder of its own, gone with the run."""

from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from pydantic import SecretStr
from sqlalchemy import Engine

from newsquake.servers.postgres import Postgres
from newsquake.stack.guardian import Guardian
from storage import migrate
from storage.engine import open_engine
from storage.settings import StorageSettings


class Database:
    """Started and migrated on entry, ended on exit; a guardian ends it even when the benchmark is killed outright."""

    def __init__(self, folder: Path) -> None:
        self._guardian = Guardian()
        self._server = Postgres(folder / "postgres", folder / "postgres.log", watch=self._guardian.watch)

    def __enter__(self) -> Self:
        try:
            self._server.start()
            engine = self.engine()
            migrate.upgrade(engine)
            engine.dispose()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._server.stop(10)
        self._guardian.close()

    @property
    def url(self) -> str:
        """Where the schema is."""
        return self._server.url

    def engine(self) -> Engine:
        """A new engine; statements may take long."""
        settings = StorageSettings(url=SecretStr(self.url), statement_timeout=3600)
        return open_engine(settings, application="newsquake bench")

    def version(self) -> str:
        """Of the server."""
        with psycopg.connect(self.url) as connection:
            return str(connection.info.parameter_status("server_version"))
