"""`docs/sql.md`: every query in it, run as a reader, gives the table that stands below it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url

from storage.engine import open_engine
from storage.settings import StorageSettings
from tests.storage.seed import seed

COOKBOOK = Path(__file__).parents[2] / "docs" / "sql.md"
RECIPE = re.compile(r"```sql\n([^`]*)```\n\n((?:\|[^\n]*\n)+)")

Table = list[list[str]]


def recipes() -> list[tuple[str, str, Table]]:
    """Title, query, and the table below it: its header and its rows."""
    found = []
    for section in COOKBOOK.read_text("utf-8").split("\n### ")[1:]:
        title = section.splitlines()[0]
        for query, lines in RECIPE.findall(section):
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]
            found.append((title, query, [rows[0], *rows[2:]]))
    return found


def shown(value: object) -> str:
    """A value as the cookbook writes it: times in UTC to the minute, null as a dash."""
    if value is None:
        return "–"
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)


@pytest.fixture
def reader(database: Engine, storage_settings: StorageSettings) -> Iterator[Engine]:
    seed(database)
    url = make_url(storage_settings.url.get_secret_value()).set(username="newsquake_reader")
    engine = open_engine(StorageSettings(url=SecretStr(url.render_as_string(hide_password=False))))
    yield engine
    engine.dispose()


def answer(engine: Engine, query: str) -> Table:
    with engine.connect() as connection:
        result = connection.exec_driver_sql(query.replace("%", "%%"))
        return [list(result.keys()), *([shown(value) for value in row] for row in result)]


def test_every_query_has_its_answer() -> None:
    text = COOKBOOK.read_text("utf-8")
    assert len(recipes()) == text.count("```sql") == 15
    assert [title.split(".")[0] for title, _, _ in recipes()] == [str(number) for number in range(1, 16)]


def test_the_answers_are_what_the_database_says(reader: Engine) -> None:
    wrong = {title: got for title, query, table in recipes() if (got := answer(reader, query)) != table}
    assert wrong == {}
