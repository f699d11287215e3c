"""Which database errors are worth a retry: real ones, raised by a real server."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text

from storage.engine import open_engine
from storage.errors import (
    AccessDenied,
    DatabaseFull,
    DatabaseUnreachable,
    DocumentRefused,
    InvalidUrl,
    PermanentFault,
    SchemaMissing,
    StorageError,
    TransactionAborted,
    TransientFault,
)
from storage.settings import StorageSettings
from storage.writer import BatchWriter
from tests.storage.rows import document, stored

RAISE = """
CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'as planned' USING ERRCODE = '{code}'; END $$;
CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON document_keys EXECUTE FUNCTION fail();
"""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("40P01", TransactionAborted),
        ("40001", TransactionAborted),
        ("55P03", TransactionAborted),
        ("57014", TransactionAborted),
        ("25006", TransactionAborted),
        ("57P01", DatabaseUnreachable),
        ("53300", DatabaseUnreachable),
        ("53100", DatabaseFull),
        ("42501", AccessDenied),
        ("42P01", SchemaMissing),
        ("22021", DocumentRefused),
    ],
)
def test_what_an_sqlstate_means(database: Engine, code: str, kind: type[StorageError]) -> None:
    with database.begin() as connection:
        connection.execute(text(RAISE.format(code=code)))
    with pytest.raises(kind):
        BatchWriter(database, "m").write([document(1)])
    assert stored(database) == 0


def test_a_deadlock_a_cut_connection_and_a_dropped_table_are_told_apart(database: Engine) -> None:
    writer = BatchWriter(database, "m")
    writer.write([document(1)])
    with database.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert writer.write([document(2)]) == 1, "a connection that was cut while idle is replaced unseen"
    with database.begin() as connection:
        connection.execute(text("DROP TABLE sentiment_minute CASCADE"))
    with pytest.raises(SchemaMissing, match="newsquake db upgrade"):
        writer.write([document(3)])


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda url: url.set(port=1), DatabaseUnreachable),
        (lambda url: url.set(database="nowhere"), AccessDenied),
        (lambda url: url.set(username="nobody"), AccessDenied),
        (lambda url: url.update_query_dict({"sslmod": "require"}), InvalidUrl),
        (lambda url: url.update_query_dict({"connect_timeout": "soon"}), InvalidUrl),
    ],
)
def test_where_no_connection_comes_about(
    storage_settings: StorageSettings, change: Callable[[object], object], kind: type[StorageError]
) -> None:
    url = change(make_url(storage_settings.url.get_secret_value()))
    engine = open_engine(StorageSettings(url=SecretStr(url.render_as_string(hide_password=False))))  # type: ignore[attr-defined]
    with pytest.raises(kind):
        BatchWriter(engine, "m").write([document(1)])


@pytest.mark.parametrize("share", [float("nan"), 1.01, -0.01])
def test_a_score_that_is_no_share_is_a_document_refused(database: Engine, share: float) -> None:
    with pytest.raises(DocumentRefused):
        BatchWriter(database, "m").write([document(1), replace(document(2), negative=share)])
    assert stored(database) == 0


def test_no_fault_is_both_transient_and_permanent() -> None:
    assert not issubclass(TransientFault, PermanentFault) and not issubclass(PermanentFault, TransientFault)
