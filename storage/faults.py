"""What a database error means for whoever has to go on: retry, give up at once, or isolate a document.

By SQLSTATE where the server gave one (https://www.postgresql.org/docs/current/errcodes-appendix.html), else by the
driver's exception: an error without one comes from the connection itself.
"""

import psycopg
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from storage.errors import (
    AccessDenied,
    DatabaseFull,
    DatabaseUnreachable,
    DocumentRefused,
    InvalidUrl,
    SchemaMissing,
    StorageError,
    TransactionAborted,
)

_SCHEMA = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction, errors.InvalidSchemaName)
_ACCESS = (
    errors.InvalidAuthorizationSpecification,  # the parent of InvalidPassword's class 28
    errors.InvalidPassword,
    errors.InvalidCatalogName,
    errors.InsufficientPrivilege,
)
_ABORTED = (
    errors.TransactionRollback,  # class 40: deadlocks, serialization failures
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.QueryCanceled,
    errors.LockNotAvailable,
    errors.IdleInTransactionSessionTimeout,
    errors.ReadOnlySqlTransaction,  # a server that has just lost its role as the primary
)


def meaning(error: DBAPIError | psycopg.Error) -> StorageError | None:
    """The storage error that stands for `error`; None where it is none of these and should be seen as it is."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = str(cause).strip().partition("\n")[0] or type(cause).__name__
    if isinstance(cause, errors.DiskFull):
        return DatabaseFull(f"the database has no disk space left ({reason}); free some, then start again")
    if isinstance(cause, _SCHEMA):
        return SchemaMissing(f"the database lacks Newsquake's schema ({reason}): run `newsquake db upgrade`")
    if isinstance(cause, _ACCESS):
        return AccessDenied(f"the database refuses access ({reason}); check NEWSQUAKE_STORAGE_URL and the role")
    if isinstance(cause, _ABORTED):
        return TransactionAborted(f"the database rolled back ({reason})")
    if isinstance(cause, psycopg.DataError | errors.CheckViolation):
        return DocumentRefused(reason)
    if isinstance(cause, psycopg.OperationalError):
        return _from_the_connection(reason)
    if isinstance(cause, psycopg.InterfaceError):
        return DatabaseUnreachable(f"the connection to the database is gone ({reason})")
    if _is_about_options(error):
        return InvalidUrl(f"NEWSQUAKE_STORAGE_URL has an option that cannot be taken ({reason})")
    return None


def _is_about_options(error: DBAPIError | psycopg.Error) -> bool:
    """Whether psycopg refused to connect by the URL's options: an error of no server and of no statement."""
    if not isinstance(error, DBAPIError) or error.statement is not None:
        return False
    return isinstance(error.orig, psycopg.ProgrammingError) and error.orig.sqlstate is None


def _from_the_connection(reason: str) -> StorageError:
    """An error while connecting has no SQLSTATE in psycopg 3, only libpq's text."""
    if "No space left on device" in reason:
        return DatabaseFull(f"the database has no disk space left ({reason}); free some, then start again")
    if "FATAL:" in reason and any(told in reason for told in _REFUSALS):
        return AccessDenied(f"the database refuses access ({reason}); check NEWSQUAKE_STORAGE_URL and the role")
    return DatabaseUnreachable(f"the database does not answer ({reason}); check NEWSQUAKE_STORAGE_URL")


_REFUSALS = ("password authentication failed", "does not exist", "no pg_hba.conf entry", "permission denied")
