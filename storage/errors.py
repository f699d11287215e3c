"""Errors of the storage layer.

StorageError
├── DatabaseUnreachable   the server does not answer: worth a retry
├── SchemaMissing         tables are absent or of another revision: run `newsquake db upgrade`
└── InvalidUrl            the URL cannot be understood: a mistake in the settings
"""


class StorageError(Exception):
    """Something about the database went wrong; the message says what to do."""


class DatabaseUnreachable(StorageError):
    """The server does not answer or ended the connection."""


class SchemaMissing(StorageError):
    """The schema is absent or not at the revision that this release needs."""


class InvalidUrl(StorageError):
    """The database URL cannot be understood."""


class DocumentRefused(StorageError):
    """Some document of a batch holds a value that PostgreSQL cannot store. Retrying cannot help."""
