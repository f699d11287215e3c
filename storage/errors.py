"""Errors of the storage layer.

StorageError
├── TransientFault          passes by itself: worth a retry with back-off
│   ├── DatabaseUnreachable   the server does not answer, or ended the connection
│   └── TransactionAborted    a deadlock, a serialization failure, a time-out: the same statement may work next time
├── PermanentFault          stays until somebody acts: said at once, never retried
│   ├── SchemaMissing         tables are absent or of another revision: run `newsquake db upgrade`
│   ├── DatabaseFull          no disk space left
│   ├── DatabaseBehind        it has lost commits: restored from a backup, or failed over to a replica that lagged
│   └── AccessDenied          wrong password, no such database, missing privilege
├── DocumentRefused         some document of a batch holds a value that PostgreSQL cannot store: isolate it
├── UnknownModel            no model of that name has scored documents
├── ActivationOvertaken     another model was activated while documents were moved to this one's scores
└── InvalidUrl              the URL cannot be understood: a mistake in the settings
"""


class StorageError(Exception):
    """Something about the database went wrong; the message says what to do."""


class TransientFault(StorageError):
    """Passes by itself. Worth a retry with back-off, up to a bound."""


class PermanentFault(StorageError):
    """Stays until somebody acts. Never retried."""


class DatabaseUnreachable(TransientFault):
    """The server does not answer or ended the connection."""


class TransactionAborted(TransientFault):
    """The server rolled a transaction back for reasons of its own; nothing of it is stored."""


class SchemaMissing(PermanentFault):
    """The schema is absent or not at the revision that this release needs."""


class DatabaseFull(PermanentFault):
    """The server has no disk space left."""


class DatabaseBehind(PermanentFault):
    """The server has lost commits that it had confirmed. A worker that starts anew reads them again from Kafka."""


class AccessDenied(PermanentFault):
    """The server answers, but not to this user or not for this database."""


class UnknownModel(StorageError):
    """No model of that name has scored documents."""


class ActivationOvertaken(StorageError):
    """Another model was activated while documents were moved to this one's scores."""


class InvalidUrl(StorageError):
    """The database URL cannot be understood."""


class DocumentRefused(StorageError):
    """Some document of a batch holds a value that PostgreSQL cannot store. Retrying cannot help."""
