"""Leadership among schedulers: a Postgres advisory lock, held by a connection of its own.

The lock lives exactly as long as the connection: a scheduler that dies, or is cut off, leaves it to the next one.
"""

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError

_LOCK = 0x6E7161  # any fixed number: the lock's name within the database


class Leadership:
    """Tries to become and to stay the leader. Not thread-safe: one job asks at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def held(self) -> bool:
        """Whether this process leads now; raises SQLAlchemy's `DBAPIError` where the database is gone."""
        try:
            if self._connection is None:
                return self._acquire()
            self._connection.execute(select(1)).scalar_one()
        except DBAPIError:
            self.release()
            raise
        return True

    def _acquire(self) -> bool:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            won = bool(connection.execute(select(func.pg_try_advisory_lock(_LOCK))).scalar_one())
        except DBAPIError:
            connection.invalidate()
            connection.close()
            raise
        if won:
            self._connection = connection
        else:
            connection.close()
        return won

    def release(self) -> None:
        """Give the lock back, if it is held, by ending its connection."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
