"""The server of a run: PostgreSQL as it is out of the box or with more memory, fsync on, gone with the run."""

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

TUNED = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}
"""What `docker-compose.yml` gives the server. Keys are digests: each batch touches pages all over their index, which
must fit into memory, and be logged whole as seldom as can be."""


class Database:
    """Started and migrated on entry, ended on exit; a guardian ends it even when the benchmark is killed outright."""

    def __init__(self, folder: Path, *, tuned: bool = False) -> None:
        self._guardian = Guardian()
        options = TUNED if tuned else None
        self._server = Postgres(
            folder / "postgres", folder / "postgres.log", options=options, watch=self._guardian.watch
        )

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
