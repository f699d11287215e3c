"""One way for commands to open the database: at this release's schema, its faults told in one line."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


@contextmanager
def transaction(application: str) -> "Iterator[Connection]":
    """A transaction at NEWSQUAKE_STORAGE_URL, committed where the block ends well; raises a `StorageError`."""
    from sqlalchemy.exc import DBAPIError

    from storage import migrate
    from storage.engine import open_engine
    from storage.faults import meaning
    from storage.settings import StorageSettings

    engine = open_engine(StorageSettings(), application=application)
    migrate.check(engine)
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise meaning(error) or error from error
    finally:
        engine.dispose()


def login_name() -> str:
    """Who runs the command, as the system knows it; `unknown` where it does not."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return "unknown"
