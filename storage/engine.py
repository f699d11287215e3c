"""One way to open the database: every part of Newsquake gets its SQLAlchemy engine here.

Connections speak psycopg 3, keep UTC, notice a dead peer within half a minute and never log the URL.
"""

import select
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from storage.errors import InvalidUrl
from storage.settings import StorageSettings

# The last one, in milliseconds, is for a peer that goes with data of ours unconfirmed: no keepalives are sent then.
_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def database_url(settings: StorageSettings) -> URL:
    """The settings' URL with psycopg 3 as its driver; raises `InvalidUrl` where it is not one of PostgreSQL."""
    try:
        url = make_url(settings.url.get_secret_value())
    except (ArgumentError, ValueError):  # the latter quotes a part of the URL: an unescaped password
        raise InvalidUrl(
            "NEWSQUAKE_STORAGE_URL is no database URL; write postgresql://user:password@host:5432/name, with @ : / in "
            "the password as %40 %3A %2F"
        ) from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise InvalidUrl(f"NEWSQUAKE_STORAGE_URL names {url.drivername!r}; Newsquake needs postgresql://")
    return url.set(drivername="postgresql+psycopg")


# The server's side: what a process that froze or a machine that died has locked is free again within half a minute.
_ABANDONED = (
    "-c idle_in_transaction_session_timeout=30000 "
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)


def open_engine(
    settings: StorageSettings, *, application: str = "newsquake", pool_size: int = 2, patient: bool = False
) -> Engine:
    """An engine whose sessions are in UTC and named `application` in `pg_stat_activity`. Connects lazily.

    What the URL says of a connection holds, `application_name` and `connect_timeout` too. Its `options` hold but for
    what is set here: time zone, time-outs and the server's keepalives.

    A `patient` one may leave a transaction open while nothing is asked in it, for longer than half a minute.
    """
    url = database_url(settings)
    options = f"-c timezone=UTC -c statement_timeout={settings.statement_timeout * 1000}"
    if not patient:
        options += f" {_ABANDONED}"
    ours = {"connect_timeout": settings.connect_timeout, "application_name": application, **_KEEPALIVE}
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=2,
        connect_args={
            **{name: value for name, value in ours.items() if name not in url.query},
            "options": " ".join([*url.normalized_query.get("options", ()), options]),  # of two alike the last one holds
        },
    )
    event.listen(engine, "checkout", _refuse_ended)
    return engine


def _refuse_ended(connection: Any, record: object, proxy: object) -> None:
    """Have the pool replace a connection that the server ended while it was idle.

    An idle server says nothing, unless it says goodbye: that costs a system call, not the round trip of a ping.
    """
    if connection.closed:
        raise DisconnectionError("this connection is closed")
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    if socket.poll(0):
        raise DisconnectionError("the server ended this connection")
