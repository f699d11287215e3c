"""The schema under Alembic, and the tables that the code is written against."""

import pytest
from sqlalchemy import Engine, inspect, text

from storage import migrate
from storage.engine import database_url
from storage.errors import InvalidUrl, SchemaMissing
from storage.settings import StorageSettings
from storage.tables import metadata
from storage.writer import BatchWriter
from tests.storage.rows import document


def test_the_schema_goes_down_and_up_again(database: Engine) -> None:
    BatchWriter(database, "m").write([document(1)])
    migrate.downgrade(database, "base")
    assert inspect(database).get_table_names() == ["alembic_version"]
    with pytest.raises(SchemaMissing, match="newsquake db upgrade"):
        migrate.check(database)
    migrate.upgrade(database)
    migrate.upgrade(database)
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


def test_every_table_and_view_says_what_it_is(database: Engine) -> None:
    query = """
        SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = 'public' AND relkind IN ('r', 'p', 'v') AND NOT relispartition
        AND relname <> 'alembic_version' AND obj_description(pg_class.oid) IS NULL"""
    with database.connect() as connection:
        assert list(connection.execute(text(query)).scalars()) == []


@pytest.mark.parametrize("url", ["mysql://localhost/x", "not a url", "", "postgresql://u:pa@ss:word@h/db"])
def test_a_url_that_is_not_postgresql_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl, match="NEWSQUAKE_STORAGE_URL") as caught:
        database_url(StorageSettings(url=url))  # type: ignore[arg-type]
    assert "pa@ss" not in str(caught.value) and (caught.value.__suppress_context__ or not caught.value.__context__)
