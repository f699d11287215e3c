"""Leadership among schedulers: a Postgres advisory lock, held by a connection of its own.

The lock lives exactly as long as the connection. Of a process that dies the server hears at once; one that is frozen,
or whose machine is gone, says nothing, and the server ends its session after `_SILENT`. So the leader speaks every
`KEEP_SECONDS`, beside whatever its rounds do. Leadership saves work and spares receivers: what two leaders may not do
twice is held by row locks in the rounds themselves.
"""

import threading

import structlog
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError

log = structlog.get_logger()

KEEP_SECONDS = 3
_SILENT = "12s"  # with a round of ten seconds in the next leader, it takes over within half a minute
_LOCK = 0x6E7161  # any fixed number: the lock's name within the database


class Leadership:
    """Tries to become and to stay the leader; jobs in different threads may ask at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._alone = threading.Lock()

    def held(self) -> bool:
        """Whether this process leads now; raises SQLAlchemy's `DBAPIError` where the database is gone."""
        with self._alone:
            if self._connection is None:
                return self._acquire()
            self._speak()
        return True

    def keep(self) -> None:
        """Let the server hear of this process, where it leads; a lost connection is for the next `held` to find."""
        with self._alone:
            if self._connection is not None:
                try:
                    self._speak()
                except DBAPIError:
                    log.warning("leadership_lost", effect="another scheduler may lead from now on")

    def release(self) -> None:
        """Give the lock back, if it is held, by ending its connection."""
        with self._alone:
            self._release()

    def _speak(self) -> None:
        assert self._connection is not None
        try:
            self._connection.execute(select(1)).scalar_one()
        except DBAPIError:
            self._release()
            raise

    def _acquire(self) -> bool:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            won = bool(connection.execute(select(func.pg_try_advisory_lock(_LOCK))).scalar_one())
            if won:
                connection.execute(select(func.set_config("idle_session_timeout", _SILENT, False)))
        except DBAPIError:
            connection.invalidate()
            connection.close()
            raise
        if won:
            self._connection = connection
        else:
            connection.close()
        return won

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
