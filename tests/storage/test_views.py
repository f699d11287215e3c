"""The views and the trends query against counts made by hand."""

from datetime import timedelta

from sqlalchemy import Engine, text

from storage.trends import newest_minute, trends
from storage.writer import BatchWriter
from tests.storage.rows import NOON, document


def test_the_hourly_view_adds_up_minutes(database: Engine) -> None:
    BatchWriter(database, "m").write([document(n, at=NOON + timedelta(minutes=n)) for n in range(120)])
    query = "SELECT bucket, sum(n) AS n, sum(negative) AS negative FROM trend_hourly GROUP BY 1 ORDER BY 1"
    with database.connect() as connection:
        rows = connection.execute(text(query)).all()
    assert [(row.bucket, row.n, row.negative) for row in rows] == [(NOON, 60, 20), (NOON + timedelta(hours=1), 60, 20)]


def test_topic_now_is_the_hour_up_to_the_newest_minute(database: Engine) -> None:
    times = [NOON, NOON + timedelta(minutes=59), NOON + timedelta(minutes=61)]
    BatchWriter(database, "m").write([document(3 * n, at=at) for n, at in enumerate(times)])
    with database.connect() as connection:
        row = connection.execute(text("SELECT * FROM topic_now")).one()
    assert (row.topic, row.n, row.negative, float(row.negative_share)) == ("financials", 2, 2, 1.0)
    assert abs(float(row.mean_score) + 0.7) < 1e-6


def test_trends_fill_empty_buckets_and_order_topics_by_size(database: Engine) -> None:
    batch = [document(3 * n, at=NOON + timedelta(hours=n)) for n in (0, 2)]
    batch += [document(3 * n + 1, at=NOON + timedelta(minutes=n)) for n in range(5)]
    BatchWriter(database, "m").write(batch)
    with database.connect() as connection:
        assert newest_minute(connection) == NOON + timedelta(hours=2)
        end = NOON + timedelta(hours=3)
        found = trends(connection, since=NOON, until=end, bucket=timedelta(hours=1))
    assert [trend.topic for trend in found] == ["energy", "financials"]
    assert found[0].n_by_bucket == [5, 0, 0]
    assert found[1].negative_by_bucket == [1, 0, 1]
    assert found[1].mean_score == -0.7
