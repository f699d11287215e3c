"""Settings of the storage layer, read from `NEWSQUAKE_STORAGE_*`."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StorageSettings(BaseSettings):
    """Where the database is and how long to wait for it.

    `url` is a secret, since it may hold a password: it is never logged. It is a URL as SQLAlchemy takes it, with
    libpq's parameters as its query (`postgresql://user:password@host/db?sslmode=require`, `postgresql+psycopg://…`);
    libpq's own `host=… dbname=…` and several hosts before the path are not taken.
    """

    model_config = SettingsConfigDict(env_prefix="NEWSQUAKE_STORAGE_", extra="ignore")

    url: SecretStr = SecretStr("postgresql://postgres@127.0.0.1:5432/newsquake")
    connect_timeout: int = Field(default=5, ge=1, description="seconds to wait for a connection")
    keep_days: int | None = Field(
        default=None, ge=1, description="days of documents to keep, applied by the scheduler; none: all are kept"
    )
    keep_keys_days: int | None = Field(
        default=None,
        ge=1,
        description="days to remember which documents there were, older ones count again; none: keep_days and 90 more",
    )
    statement_timeout: int = Field(default=60, ge=1, description="seconds after which the server ends a statement")
