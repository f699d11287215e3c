"""The views of revision 0004: their columns, their values against counts made by hand, and what their plans read."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from scipy.stats import binomtest
from sqlalchemy import Engine, inspect, text

from storage import migrate
from storage.writer import BatchWriter
from tests.storage.rows import NOON, document
from tests.storage.seed import MONDAY, seed

_COUNTS = ["n", "negative", "neutral", "positive"]
_TREND = [
    "bucket", "topic", "stream", "lang", *_COUNTS, "negative_share", "mean_score", "neutral_share", "positive_share",
    "negative_low", "negative_high", "previous_n", "n_change", "negative_share_change", "mean_score_change",
]  # fmt: skip
_NOW = [
    *_COUNTS, "negative_share", "mean_score", "last_minute", "negative_low", "negative_high", "previous_n", "n_change",
    "negative_share_change",
]  # fmt: skip
COLUMNS = {
    "trend_minute": _TREND,
    "trend_hourly": _TREND,
    "trend_daily": _TREND,
    "topic_now": ["topic", *_NOW],
    "entity_now": ["entity", *_NOW],
    "source_mix": ["bucket", "source", "stream", *_COUNTS, "negative_share", "mean_score", "share_of_stream"],
    "worst_documents": [
        "published_at", "topic", "score", "confidence", "source", "id", "stream", "lang", "title", "excerpt", "url",
        "entities",
    ],
}  # fmt: skip


def ask(engine: Engine, query: str, **values: object) -> Sequence[Any]:
    with engine.connect() as connection:
        return connection.execute(text(query), values).all()


@pytest.mark.parametrize("view", sorted(COLUMNS))
def test_a_view_keeps_its_columns(database: Engine, view: str) -> None:
    assert [column["name"] for column in inspect(database).get_columns(view)] == COLUMNS[view]


def test_the_views_go_down_to_revision_3_and_up_again(database: Engine) -> None:
    seed(database)
    hourly = "SELECT bucket, topic, stream, lang, n, negative_share, mean_score FROM trend_hourly ORDER BY 1, 2, 3, 4"
    before = ask(database, hourly)
    migrate.downgrade(database, "0003")
    assert ask(database, hourly) == before
    assert len(inspect(database).get_columns("trend_hourly")) == 10
    assert "trend_daily" not in inspect(database).get_view_names()
    migrate.upgrade(database)
    assert ask(database, hourly) == before


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (13, 15), (15, 15), (1, 1000), (400_000, 1_000_000)])
def test_the_interval_is_wilsons(database: Engine, k: int, n: int) -> None:
    found = ask(database, "SELECT wilson_low(:k, :n), wilson_high(:k, :n)", k=k, n=n)[0]
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert float(found[0]) == pytest.approx(expected.low, abs=6e-5)
    assert float(found[1]) == pytest.approx(expected.high, abs=6e-5)


def test_nothing_has_no_interval(database: Engine) -> None:
    assert ask(database, "SELECT wilson_low(0, 0), wilson_high(0, 0)") == [(None, None)]


def test_the_change_is_against_the_same_series_one_bucket_earlier(database: Engine) -> None:
    seed(database)
    query = """SELECT bucket, n, negative_share, neutral_share, positive_share, mean_score, previous_n, n_change,
        negative_share_change, mean_score_change FROM trend_hourly
        WHERE topic = 'financials' AND stream = 'news' AND lang = 'en' ORDER BY bucket DESC LIMIT 3"""
    latest, earlier, lone = ask(database, query)
    # 13:00 "---=" after 12:00 "-=-": scores -0.70, -0.72, -0.74, 0 after -0.70, 0, -0.72.
    assert latest[1:6] == (4, Decimal("0.7500"), Decimal("0.2500"), Decimal("0.0000"), Decimal("-0.5400"))
    assert latest[6:] == (3, 1, Decimal("0.0833"), Decimal("-0.0667"))
    assert earlier[6:] == (None, None, None, None), "the hour before has no news"
    assert lone.bucket == MONDAY + timedelta(hours=33) and lone.previous_n is None


def test_a_series_that_was_emptied_is_nowhere(database: Engine) -> None:
    seed(database)
    with database.begin() as connection:
        for table in ("sentiment_minute", "sentiment_hour", "sentiment_day"):
            connection.execute(
                text(f"UPDATE {table} SET n = 0, negative = 0, neutral = 0, positive = 0, score_sum = 0")
            )
    for view in ("trend_minute", "trend_hourly", "trend_daily", "topic_now", "entity_now"):
        assert ask(database, f"SELECT * FROM {view}") == []
    assert ask(database, "SELECT * FROM trend(NULL, '-infinity')") == []


def test_days_are_utc_days_in_every_time_zone(database: Engine) -> None:
    """Berlin's clocks went forward on 29 March 2026."""
    with database.begin() as connection:
        for day in (28, 29, 30):
            connection.execute(
                text(
                    f"INSERT INTO sentiment_day VALUES ('2026-03-{day}Z', 'macro', 'news', 'en', {day}, {day}, 0, 0, 0)"
                )
            )
        connection.execute(
            text("INSERT INTO sentiment_minute VALUES ('2026-03-30Z', 'macro', 'news', 'en', 1, 1, 0, 0, 0)")
        )
        connection.execute(text("SET LOCAL timezone = 'Europe/Berlin'"))
        daily = connection.execute(text("SELECT n_change FROM trend_daily ORDER BY bucket")).scalars().all()
        filled = connection.execute(text("SELECT n FROM trend('macro', '2026-03-01', '1 day')")).scalars().all()
    assert daily == [None, 1, 1] and filled == [28, 29, 30]


def test_a_topic_is_compared_with_its_hour_before(database: Engine) -> None:
    at = {-119: 3, -60: 4, -59: 5, 0: 6}  # minutes from the newest one; 3 n is negative, about financials
    BatchWriter(database, "m").write(
        [document(3 * n, at=NOON + timedelta(minutes=minutes)) for minutes, n in at.items()]
    )
    BatchWriter(database, "m").write([document(99, at=NOON - timedelta(minutes=120))])
    row = ask(database, "SELECT n, previous_n, n_change, negative_share_change, last_minute FROM topic_now")[0]
    assert tuple(row) == (2, 2, 0, Decimal("0.0000"), NOON)


def bucket_counts(engine: Engine, call: str) -> dict[datetime, int]:
    return {row.bucket: row.n for row in ask(engine, f"SELECT bucket, n FROM {call}")}


def test_a_trend_has_every_bucket_and_says_so_in_every_grain(database: Engine) -> None:
    seed(database)
    hours = bucket_counts(database, "trend('financials', '2026-03-09')")
    assert list(hours) == [MONDAY + timedelta(hours=9 + n) for n in range(29)], "from the first document on"
    assert sum(hours.values()) == 35 and hours[MONDAY + timedelta(hours=11)] == 0
    for grain, buckets in (("1 minute", 1702), ("15m", 114), ("2 hours", 15), ("1 day", 2), ("7 days", 1)):
        found = bucket_counts(database, f"trend('financials', '-infinity', '{grain}')")
        assert (len(found), sum(found.values())) == (buckets, 35), grain
    assert list(bucket_counts(database, "trend(NULL, '-infinity', '7 days')").items()) == [(MONDAY, 49)]


def test_a_trend_can_be_narrowed(database: Engine) -> None:
    seed(database)
    day = "trend('financials', '2026-03-10', '1 day'"
    assert list(bucket_counts(database, f"{day}, stream => 'comment')").values()) == [19]
    assert list(bucket_counts(database, f"{day}, lang => 'zh')").values()) == [3]
    assert bucket_counts(database, f"{day}, until => '2026-03-10')") == {}
    morning = "trend('financials', '2026-03-10 09:30Z', until => '2026-03-10 11:00Z')"
    assert list(bucket_counts(database, morning).values()) == [4, 4], "whole buckets, from the one with `since` in it"
    assert bucket_counts(database, "trend('financials', 'infinity')") == {}
    row = ask(database, "SELECT * FROM trend('energy', '2026-03-10 11:00Z')")[0]
    assert (row.n, row.negative_share, row.mean_score, row.negative_low, row.n_change) == (0, None, None, None, -3)


def test_the_worst_come_first_and_only_counted_negatives(database: Engine) -> None:
    seed(database)
    rows = ask(database, "SELECT id, round(score::numeric, 2) AS score FROM worst_documents ORDER BY score, id")
    assert (rows[0].id, rows[0].score) == ("forum-11-7", Decimal("-0.82"))
    assert len(rows) == 21


def test_what_is_asked_for_is_all_that_is_read(database: Engine) -> None:
    with database.begin() as connection:
        for table, step in (("sentiment_minute", "1 minute"), ("sentiment_hour", "1 hour"), ("sentiment_day", "1 day")):
            connection.execute(
                text(f"""INSERT INTO {table}
                SELECT bucket, 'topic' || topic, stream, 'en', 3, 1, 1, 1, 0
                FROM generate_series(
                         '2026-03-10Z'::timestamptz - 500 * interval '{step}', '2026-03-10Z', '{step}') AS bucket,
                     generate_series(1, 20) AS topic, unnest(ARRAY['news', 'comment']) AS stream ORDER BY 1""")
            )
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE sentiment_minute, sentiment_hour, sentiment_day"))
    for view in ("trend_minute", "trend_hourly", "trend_daily"):
        for asked in ("topic = 'topic7' ORDER BY bucket DESC LIMIT 24", "topic = 'topic7' AND bucket = '2026-03-10Z'"):
            plan = "\n".join(row[0] for row in ask(database, f"EXPLAIN SELECT * FROM {view} WHERE {asked}"))
            assert "Seq Scan" not in plan and "Hash" not in plan, plan
        plan = "\n".join(row[0] for row in ask(database, f"EXPLAIN SELECT topic, sum(n) FROM {view} GROUP BY topic"))
        assert "Join" not in plan and "Loop" not in plan, plan
    plan = "\n".join(row[0] for row in ask(database, "EXPLAIN SELECT * FROM topic_now WHERE topic = 'topic7'"))
    assert "Seq Scan" not in plan, plan
