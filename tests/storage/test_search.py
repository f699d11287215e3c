"""Full text, English by stems and Chinese by pairs of characters, filled behind the writer."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, text

from storage.search import index_documents, waiting
from storage.writer import BatchWriter
from tests.storage.rows import NOON, document

TEXTS = [
    "Merrowdale Bank halts withdrawals after a run on deposits",
    "The central bank cut rates; markets rallied",
    "央行宣布降息50个基点，市场反弹",
    "茅台股价大跌，投资者恐慌",
    "Tesla降价后股价下跌3%",
]
FOUND = [
    ("withdrawal", {0}),
    ("bank", {0, 1}),
    ("bank -withdrawals", {1}),
    ('"central bank"', {1}),
    ("withdrawals or rallying", {0, 1}),
    ("降息", {2}),
    ("央行降息", set()),
    ("央行 降息", {2}),
    ("股价", {3, 4}),
    ("股价 tesla", {4}),
    ("跌", {4}),
    ("TESLA", {4}),
    ("息50", {2}),
    ("原油", set()),
]


@pytest.fixture
def written(database: Engine) -> Engine:
    batch = [replace(document(n, at=NOON + timedelta(days=n)), text=words) for n, words in enumerate(TEXTS)]
    BatchWriter(database, "m").write(batch)
    return database


def search(engine: Engine, query: str, **more: object) -> list[int]:
    call = "SELECT id FROM search_documents(:query" + "".join(f", {name} => :{name}" for name in more) + ")"
    with engine.connect() as connection:
        return [int(found) for found in connection.execute(text(call), {"query": query, **more}).scalars()]


def test_what_is_found(written: Engine) -> None:
    assert search(written, "bank") == [] and waiting(written) == 5
    assert index_documents(written) == 5
    assert index_documents(written) == 0 and waiting(written) == 0
    for query, numbers in FOUND:
        if query == "跌":  # a single character finds the pairs that begin with it, and the ends of runs
            assert set(search(written, query)) >= numbers
        else:
            assert set(search(written, query)) == numbers, query


def test_the_newest_come_first_within_the_limits(written: Engine) -> None:
    index_documents(written)
    assert search(written, "bank") == [1, 0]
    assert search(written, "bank", max_rows=1) == [1]
    assert search(written, "股价", since=NOON + timedelta(days=3, hours=12)) == [4]
    assert search(written, "") == search(written, "the") == []


def test_entities_are_indexed_with_the_words(database: Engine) -> None:
    BatchWriter(database, "m").write([replace(document(n), entities=["B", "A", "B", ""]) for n in range(3)])
    index_documents(database)
    with database.connect() as connection:
        rows = connection.execute(text("SELECT entity, count(*) FROM document_entities GROUP BY 1 ORDER BY 1")).all()
        assert [tuple(row) for row in rows] == [("A", 3), ("B", 3)]
        assert connection.execute(text("SELECT DISTINCT entities FROM documents")).scalar_one() == ["B", "A"]


def test_a_day_dropped_before_it_was_indexed_is_passed_over(written: Engine) -> None:
    with written.begin() as connection:
        connection.execute(text("SELECT drop_document_day('2026-03-10')"))
    assert index_documents(written) > 0
    assert search(written, "bank") == [1]
