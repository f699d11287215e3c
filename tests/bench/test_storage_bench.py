"""The benchmark of the database: a whole small run on a real server, and documents as skewed as they are said to be."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchUsage
from bench.storage.database import Database
from bench.storage.documents import FIRST_DAY, days, live, of_day, words
from bench.storage.latency import p95
from bench.storage.questions import Period
from bench.storage.run import Request, measure, run
from bench.storage.tables import remarks, tables
from bench.storage.ways import WAYS

SMALL = Request(
    documents=1_500, days=8, sizes=(32, 64), turn=1_024, rounds=1, sustained=2_000, writers=(1, 2), calls=3, dropped=2
)


def ignored(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def document(server_dir: Path) -> Iterator[dict[str, Any]]:
    """What a small run tells."""
    folder = server_dir / "storage-bench"
    folder.mkdir()
    with Database(folder, tuned=True) as database:
        yield measure(database, SMALL, folder / "processes.log", ignored)
    shutil.rmtree(folder, ignore_errors=True)


def test_the_document_has_what_is_promised_and_is_json(document: dict[str, Any]) -> None:
    again = json.loads(json.dumps(document, allow_nan=False))
    for way in WAYS:
        assert again[way]["docs_per_s"] > 0
        assert set(again["by_batch"]) == {"32", "64"}
    assert again["ratio_copy"] == pytest.approx(again["writer"]["docs_per_s"] / again["copy"]["docs_per_s"])
    assert again["documents"] == 1_500
    assert {"topic_now", "trend_hourly", "trend_minute", "open_alerts", "search_documents()"} <= set(
        again["query_p95_ms"]
    )
    assert not set(again["views_missing"]) & set(again["query_p95_ms"])
    assert again["writer"]["sustained_docs_per_s"] > 0
    assert set(again["writers"]) == {"1", "2"}
    assert {"postgresql", "cpu", "cores", "psycopg", "sqlalchemy"} <= set(again["machine"])
    retention = again["retention"]
    assert retention["days"] == 2 and 0 < retention["locked_ms"] <= retention["day_ms"] <= retention["slowest_ms"]
    assert again["size"]["bytes_per_document"] > 500
    assert {"documents", "scores", "document_keys", "document_search"} <= set(again["size"]["tables"])


def test_questions_find_something(document: dict[str, Any]) -> None:
    found = {f"{one['view']}: {one['asks']}": one["rows"] for one in document["queries"]}
    empty = [asks for asks, rows in found.items() if not rows]
    luck = ("two English words", "four Chinese characters", "one entity")  # among so few documents
    assert [asks for asks in empty if not any(rare in asks for rare in luck)] == []
    assert found["open_alerts: all that are open"] == 12


def test_people_get_tables_with_each_goal(document: dict[str, Any]) -> None:
    ingest, queries, sizes, goals = tables(document)
    assert (ingest.row_count, goals.row_count) == (5, 4)
    assert queries.row_count == len(document["queries"]) and sizes.row_count > 4
    assert any("writers at once" in line for line in remarks(document))


def test_documents_are_skewed_and_the_same_each_time() -> None:
    first = next(of_day(FIRST_DAY, 4_000, 4_000))
    assert first == next(of_day(FIRST_DAY, 4_000, 4_000))
    topics = Counter(one.topic for one in first).most_common()
    assert len(topics) == 20 and topics[0][1] > 10 * topics[-1][1]
    assert 0.17 < sum(bool(one.entities) for one in first) / len(first) < 0.23
    assert all(59 <= len(one.text) <= 400 for one in first)
    assert len({one.text for one in first}) > 3_990 and len({one.key for one in first}) == len(first)
    assert {one.lang for one in first} == {"en", "zh"} and {one.stream for one in first} == {"news", "comment"}
    hours = Counter(one.published_at.hour for one in first)
    assert hours[15] > 2 * hours[3]
    assert [one.published_at for one in first] == sorted(one.published_at for one in first)
    assert FIRST_DAY <= first[0].published_at and first[-1].published_at < FIRST_DAY + timedelta(days=1)


def test_days_share_all_documents_and_weekends_are_quiet() -> None:
    shared = days(10_000, 30)
    assert sum(shared.values()) == 10_000 and len(shared) == 30
    assert shared[FIRST_DAY + timedelta(days=5)] < shared[FIRST_DAY] / 2


def test_a_live_batch_is_as_dense_as_a_busy_day() -> None:
    batch = live(FIRST_DAY, 512, 3)
    assert timedelta(minutes=6) < batch[-1].published_at - batch[0].published_at < timedelta(minutes=8)
    assert not {one.key for one in batch} & {one.key for one in live(FIRST_DAY, 512, 4)}


def test_searches_are_for_words_that_are_written() -> None:
    assert all(len(word) >= 5 and word.isascii() for word in words("en", 20, 1))
    assert all(len(word) == 4 for word in words("zh", 20, 1))


def test_windows_lie_in_the_period() -> None:
    period = Period(FIRST_DAY, FIRST_DAY + timedelta(days=8))
    for seed in range(50):
        window = period.within(random.Random(seed), timedelta(days=7))
        assert period.start <= window["since"] < window["until"] <= period.end
    assert period.within(random.Random(1), timedelta(days=90)) == {"since": period.start, "until": period.end}


def test_the_95th_percentile_is_what_95_of_100_keep_to() -> None:
    assert p95([float(n) for n in range(1, 101)]) == 95
    assert p95([3.0, 1.0]) == 3


def test_a_disk_that_is_too_small_is_said_before_anything_starts() -> None:
    with pytest.raises(BenchUsage, match="TMPDIR"):
        run(Request(documents=10**12), ignored)
