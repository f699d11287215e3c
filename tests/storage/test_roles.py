"""What `newsquake_writer` and `newsquake_reader` can and cannot do; neither is a superuser or owns a table."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from alerts.evaluate import tick
from alerts.settings import AlertsSettings
from storage import migrate
from storage.activation import activate
from storage.engine import open_engine
from storage.partitions import document_days, ensure_ahead
from storage.progress import Progress, forget_progress
from storage.retention import apply_retention
from storage.search import index_documents
from storage.settings import StorageSettings
from storage.trends import trends
from storage.writer import BatchWriter
from tests.storage.rows import NOON, all_recounts, all_rollups, document, stored

DAY = timedelta(days=1)


def connect(settings: StorageSettings, role: str) -> Engine:
    url = make_url(settings.url.get_secret_value()).set(username=role)
    return open_engine(StorageSettings(url=SecretStr(url.render_as_string(hide_password=False))))


@pytest.fixture
def writer(storage_settings: StorageSettings) -> Iterator[Engine]:
    engine = connect(storage_settings, "newsquake_writer")
    yield engine
    engine.dispose()


@pytest.fixture
def reader(storage_settings: StorageSettings) -> Iterator[Engine]:
    engine = connect(storage_settings, "newsquake_reader")
    yield engine
    engine.dispose()


def refused(engine: Engine, statement: str) -> str:
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(text(statement))
    return str(caught.value.orig)


def test_the_writer_does_all_of_a_workers_and_a_schedulers_work(database: Engine, writer: Engine) -> None:
    migrate.check(writer)
    ensure_ahead(writer, NOON)
    batch = [document(n, at=NOON - timedelta(days=n % 3)) for n in range(30)]
    assert BatchWriter(writer, "a").write(batch, [Progress("t", 0, 30, 30, NOON)]) == 30
    assert BatchWriter(writer, "b").write([*batch, document(31)]) == 1
    assert activate(writer, "b") == 30
    assert all_rollups(database) == all_recounts(database)
    assert index_documents(writer) == 31
    tick(writer, AlertsSettings(), NOON + timedelta(hours=1))
    done = apply_retention(writer, keep=timedelta(days=1), keep_keys=timedelta(days=1), now=NOON)
    assert len(done.days) == 1 and done.keys == 10
    assert len(document_days(writer)) == 4 and stored(database) == 21
    with writer.begin() as connection:
        forget_progress(connection)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE documents",
        "DROP TABLE documents_20260310",
        "ALTER TABLE documents ADD COLUMN x int",
        "DELETE FROM documents",
        "DELETE FROM alerts",
        "TRUNCATE document_keys",
        "CREATE ROLE more",
        "UPDATE alembic_version SET version_num = '0001'",
    ],
)
def test_the_writer_cannot_change_the_schema_or_remove_documents(
    database: Engine, writer: Engine, statement: str
) -> None:
    BatchWriter(database, "a").write([document(1)])
    said = refused(writer, statement)
    assert "permission denied" in said or "must be owner" in said


VIEWS = "SELECT viewname FROM pg_views WHERE schemaname = 'public'"


def test_the_reader_reads_every_view_and_searches(database: Engine, reader: Engine) -> None:
    BatchWriter(database, "a").write([document(n) for n in range(30)])
    index_documents(database)
    migrate.check(reader)
    with reader.connect() as connection:
        views = list(connection.execute(text(VIEWS)).scalars())
        assert {"trend_minute", "trend_hourly", "topic_now", "open_alerts"} <= set(views)
        for view in views:
            connection.execute(text(f'SELECT * FROM "{view}"')).all()
        assert connection.execute(text("SELECT sum(n) FROM trend_hourly")).scalar() == 30
        assert sum(trend.n for trend in trends(connection, since=NOON - DAY, until=NOON + DAY, bucket=DAY)) == 30
        assert connection.execute(text("SELECT count(*) FROM search_documents('text')")).scalar() == 30


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM documents",
        "SELECT * FROM document_keys",
        "SELECT * FROM sentiment_minute",
        "SELECT * FROM documents_20260310",
        "SELECT drop_document_day('2026-03-10')",
        "SELECT ensure_document_day('2026-03-10')",
        "SELECT index_documents()",
    ],
)
def test_the_reader_sees_no_table_and_calls_nothing_that_writes(
    database: Engine, reader: Engine, statement: str
) -> None:
    BatchWriter(database, "a").write([document(1)])
    assert "permission denied" in refused(reader, statement)


def test_the_readers_session_is_read_only_and_bounded(storage_settings: StorageSettings, reader: Engine) -> None:
    import psycopg

    url = make_url(storage_settings.url.get_secret_value()).set(drivername="postgresql", username="newsquake_reader")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("30s",)
    assert "read-only" in refused(reader, "CREATE TABLE mine (x int)")
    assert "permission denied" in refused(reader, "SET TRANSACTION READ WRITE; CREATE TABLE mine (x int)")


def test_a_user_who_may_not_create_roles_is_told_and_goes_on(
    admin: Engine, storage_settings: StorageSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, object]] = []
    monkeypatch.setattr(migrate.log, "warning", lambda event, **more: told.append({"event": event, **more}))
    monkeypatch.setattr(migrate, "_ROLES", migrate._ROLES.replace("'newsquake_", "'newsquake_absent_"))
    name = f"{make_url(storage_settings.url.get_secret_value()).database}_owned"
    with admin.connect() as connection:
        connection.execute(text("CREATE ROLE newsquake_test_owner LOGIN"))
        connection.execute(text(f"CREATE DATABASE {name} OWNER newsquake_test_owner"))
    url = make_url(storage_settings.url.get_secret_value()).set(database=name, username="newsquake_test_owner")
    engine = open_engine(StorageSettings(url=SecretStr(url.render_as_string(hide_password=False))))
    try:
        migrate.upgrade(engine)
        assert migrate.check(engine) == migrate.head()
        assert BatchWriter(engine, "a").write([document(1)]) == 1
        assert [entry["event"] for entry in told] == ["roles_incomplete"] * 2
        assert "may not create it" in str(told[0]["reason"]) and "CREATE ROLE" in str(told[0]["hint"])
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
            connection.execute(text("DROP ROLE newsquake_test_owner"))


def test_an_upgrade_that_finds_everything_changes_nothing(database: Engine) -> None:
    migrate.upgrade(database)
    migrate.upgrade(database)
    assert migrate.check(database) == migrate.head()
