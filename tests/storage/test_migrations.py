"""The schema under Alembic, and the tables that the code is written against."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, inspect, make_url, text

from storage import migrate
from storage.engine import database_url, open_engine
from storage.errors import AccessDenied, InvalidUrl, SchemaMissing, StorageError, TransactionAborted
from storage.search import index_documents
from storage.settings import StorageSettings
from storage.tables import metadata
from storage.writer import BatchWriter
from tests.storage.rows import all_recounts, all_rollups, document, stored


def test_the_schema_goes_down_and_up_again(database: Engine) -> None:
    BatchWriter(database, "m").write([document(1)])
    migrate.downgrade(database, "base")
    assert inspect(database).get_table_names() == ["alembic_version"]
    with pytest.raises(SchemaMissing, match="newsquake db upgrade"):
        migrate.check(database)
    migrate.upgrade(database)
    migrate.upgrade(database)
    assert migrate.check(database) == migrate.head()


def test_a_database_that_is_newer_than_the_release_is_left_alone(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for work in (migrate.check, migrate.upgrade):
        with pytest.raises(SchemaMissing, match="newer than this release: at revision 9999"):
            work(database)
    assert value(database, "SELECT version_num FROM alembic_version") == "9999"


@pytest.mark.parametrize(
    ("role", "kind", "says"),
    [("newsquake_writer", AccessDenied, "must be owner"), ("newsquake_reader", TransactionAborted, "read-only")],
)
def test_whoever_may_not_upgrade_or_look_is_told_so(
    database: Engine, storage_settings: StorageSettings, role: str, kind: type[StorageError], says: str
) -> None:
    url = make_url(storage_settings.url.get_secret_value()).set(username=role)
    engine = open_engine(StorageSettings(url=SecretStr(url.render_as_string(hide_password=False))))
    migrate.downgrade(database, "0008")
    with pytest.raises(kind, match=says):
        migrate.upgrade(engine)
    with database.begin() as connection:
        connection.execute(text(f"REVOKE SELECT ON alembic_version FROM {role}"))
    with pytest.raises(AccessDenied, match="permission denied"):
        migrate.check(engine)
    engine.dispose()


WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'scores'::regclass"


def test_an_upgrade_that_loses_a_deadlock_is_tried_again(database: Engine, storage_settings: StorageSettings) -> None:
    migrate.downgrade(database, "0008")
    url = make_url(storage_settings.url.get_secret_value()).update_query_dict({"options": "-c deadlock_timeout=4s"})
    slow = open_engine(StorageSettings(url=SecretStr(url.render_as_string(hide_password=False))))
    with ThreadPoolExecutor(1) as pool, database.connect() as worker:
        worker.execute(text("SET LOCAL deadlock_timeout = '1min'"))  # so that the other side is the one that loses
        worker.execute(text("LOCK TABLE scores IN ROW EXCLUSIVE MODE"))
        upgraded = pool.submit(migrate.upgrade, slow)
        while not upgraded.done() and not value(database, WAITING):
            time.sleep(0.01)
        worker.execute(text("LOCK TABLE sentiment_minute IN ROW EXCLUSIVE MODE"))
        worker.rollback()
        upgraded.result(30)
    slow.dispose()
    assert migrate.check(database) == migrate.head()


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_the_tables_in_code_have_the_columns_of_the_database(database: Engine, table: str) -> None:
    found = {column["name"]: column for column in inspect(database).get_columns(table)}
    declared = metadata.tables[table].columns
    assert list(found) == [column.name for column in declared]
    for column in declared:
        expected = column.type.compile(database.dialect)
        actual = found[column.name]["type"].compile(database.dialect)
        assert actual == expected, column.name
        assert bool(found[column.name]["nullable"]) == bool(column.nullable), column.name


def test_every_table_view_column_and_function_says_what_it_is(database: Engine) -> None:
    query = """
        SELECT relname, attname FROM pg_class
        JOIN pg_attribute ON attrelid = pg_class.oid AND attnum >= 0 AND NOT attisdropped
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
        AND relname <> 'alembic_version'
        AND (col_description(pg_class.oid, attnum) IS NULL OR obj_description(pg_class.oid) IS NULL)
        UNION ALL
        SELECT proname, '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND obj_description(oid) IS NULL"""
    with database.connect() as connection:
        assert connection.execute(text(query)).all() == []


def test_every_time_has_a_time_zone(database: Engine) -> None:
    query = """
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND data_type ~ '^(timestamp without|time |date)'"""
    with database.connect() as connection:
        assert connection.execute(text(query)).all() == []


def value(database: Engine, query: str) -> object:
    with database.connect() as connection:
        return connection.execute(text(query)).scalar_one()


OLD_ROWS = """
    INSERT INTO models (name) VALUES ('old');
    SELECT ensure_document_day(day) FROM unnest(ARRAY['2026-03-10', '2026-03-11']::date[]) AS day;
    INSERT INTO document_keys SELECT md5(n::text)::uuid, '2026-03-10T23:30Z'::timestamptz + n * interval '1 minute'
    FROM generate_series(1, 60) AS n;
    INSERT INTO documents (published_at, key, source, id, stream, lang, text, entities, content_hash)
    SELECT published_at, key, 'wire', key, 'news', 'en', 'Profits rose at Merrowdale', ARRAY['M', 'M', 'B'], 1
    FROM document_keys;
    INSERT INTO scores (published_at, key, model_id, topic, sentiment, negative, neutral, positive, score, confidence)
    SELECT published_at, key, 1, 'earnings', 'negative', 0.8, 0.1, 0.1, -0.7, 0.8 FROM document_keys;
    INSERT INTO sentiment_minute
    SELECT date_trunc('minute', published_at), 'earnings', 'news', 'en', 1, 1, 0, 0, -0.7 FROM document_keys"""


def test_what_revision_2_stored_is_counted_and_found_after_the_upgrade_and_stays_after_the_downgrade(
    database: Engine,
) -> None:
    migrate.downgrade(database, "0002")
    with database.begin() as connection:
        connection.exec_driver_sql(OLD_ROWS)
    migrate.upgrade(database)
    assert stored(database) == 60
    assert all_rollups(database) == all_recounts(database)
    assert {table: sum(row[-5] for row in rows) for table, rows in all_rollups(database).items()} == {  # type: ignore[misc]
        "sentiment_minute": 60, "sentiment_hour": 60, "sentiment_day": 60, "source_hour": 60, "entity_minute": 120,
    }  # fmt: skip
    while index_documents(database):
        pass
    assert value(database, "SELECT count(*) FROM search_documents('profit', max_rows => 99)") == 60
    assert value(database, "SELECT count(*) FROM document_entities") == 120
    assert value(database, "SELECT name FROM models WHERE active") == "old"
    BatchWriter(database, "new").write([document(1)])
    migrate.downgrade(database, "0002")
    assert value(database, "SELECT count(*) FROM documents JOIN scores USING (published_at, key)") == 61
    assert value(database, "SELECT sum(n) FROM trend_hourly") == 61


@pytest.mark.parametrize("url", ["mysql://localhost/x", "not a url", "", "postgresql://u:pa@ss:word@h/db"])
def test_a_url_that_is_not_postgresql_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl, match="NEWSQUAKE_STORAGE_URL") as caught:
        database_url(StorageSettings(url=url))  # type: ignore[arg-type]
    assert "pa@ss" not in str(caught.value) and (caught.value.__suppress_context__ or not caught.value.__context__)


OLD_ALERT = """
    INSERT INTO alerts (topic, stream, state, severity, test, window_minutes, opened_at, last_seen_at, expected,
                        observed, messages, p_value, sources, contents)
    VALUES ('debt', 'news', 'firing', 'warning', 'share', 60, '2026-03-10T10:00Z', '2026-03-10T10:05Z', 1, 9, 9, 0, 3,
            9);
    INSERT INTO alert_events (alert_id, at, kind) SELECT alert_id, opened_at, 'fired' FROM alerts;
    INSERT INTO notifications (event_id, channel, title, body, state)
    SELECT event_id, channel, 't', 'b', state
    FROM alert_events, (VALUES ('a', 'sent'), ('b', 'muted')) AS v (channel, state)"""

NEW_ALERTS = """
    INSERT INTO silences (topic, starts_at, ends_at, author, comment) VALUES ('debt', now(), now() + '1 h', 'ana', '');
    INSERT INTO rules (name, position, body, author) VALUES ('banks', 1, '{}', 'ana');
    INSERT INTO alert_events (alert_id, at, kind, actor) SELECT alert_id, opened_at, 'repeated', 'ana' FROM alerts;
    INSERT INTO alert_events (alert_id, at, kind, actor) SELECT alert_id, opened_at, 'acknowledged', 'ana' FROM alerts;
    UPDATE alerts SET state = 'acknowledged', silence_id = 1;
    INSERT INTO alerts (topic, stream, state, severity, test, window_minutes, opened_at, last_seen_at, expected,
                        observed, messages, p_value, sources, contents, rule)
    VALUES ('ipo', 'news', 'firing', 'warning', 'share', 60, '2026-03-10T11:00Z', '2026-03-10T11:05Z', 1, 9, 9, 0, 3,
            9, 'banks')"""


def test_an_open_alert_keeps_its_state_and_messages_up_and_down_again(database: Engine) -> None:
    migrate.downgrade(database, "0004")
    with database.begin() as connection:
        connection.exec_driver_sql(OLD_ALERT)
    migrate.upgrade(database)
    assert value(database, "SELECT rule FROM alerts WHERE told_at IS NOT NULL AND owed_since IS NULL") == "default"
    assert value(database, "SELECT count(*) FROM notifications WHERE state = 'muted' AND reason <> ''") == 1
    with database.begin() as connection:
        connection.exec_driver_sql(NEW_ALERTS)
    assert value(database, "SELECT count(*) FROM open_alerts WHERE silenced AND silenced_until > now()") == 1
    assert value(database, "SELECT topic FROM active_silences") == "debt"
    migrate.downgrade(database, "0004")
    assert value(database, "SELECT string_agg(kind, ' ' ORDER BY event_id) FROM alert_events") == "fired acknowledged"
    assert value(database, "SELECT string_agg(topic || ' ' || state, ', ') FROM open_alerts") == "ipo firing"
