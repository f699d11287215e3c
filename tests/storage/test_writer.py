"""The batch writer: exactly once, whatever is delivered, however often, by however many."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, event, text

from storage import migrate
from storage.engine import open_engine
from storage.errors import DatabaseBehind, DatabaseUnreachable, DocumentRefused, SchemaMissing
from storage.progress import Progress, backlog, read_progress, record_progress
from storage.settings import StorageSettings
from storage.writer import BatchWriter, ScoredDocument
from tests.storage.rows import NOON, document, recount, rollups, stored


def test_a_batch_is_stored_with_its_rollups(database: Engine) -> None:
    assert BatchWriter(database, "m").write([document(n) for n in range(100)]) == 100
    assert stored(database) == 100
    assert rollups(database) == recount(database) != []


def test_a_second_delivery_changes_nothing(database: Engine) -> None:
    batch = [document(n) for n in range(50)]
    BatchWriter(database, "m").write(batch)
    before = rollups(database)
    assert BatchWriter(database, "m").write(batch) == 0
    assert BatchWriter(database, "m").write([document(n) for n in range(25, 75)]) == 25
    assert stored(database) == 75
    assert rollups(database) == recount(database) != before


def test_a_duplicate_within_one_batch_counts_once(database: Engine) -> None:
    assert BatchWriter(database, "m").write([document(1), document(2), document(1)]) == 2
    assert rollups(database) == recount(database)


def test_the_same_id_with_another_publication_time_is_still_the_same_document(database: Engine) -> None:
    writer = BatchWriter(database, "m")
    writer.write([document(1)])
    assert writer.write([document(1, at=NOON + timedelta(days=3))]) == 0
    assert stored(database) == 1


def test_workers_that_write_the_same_documents_at_once_store_each_once(database: Engine) -> None:
    def work(seed: int) -> None:
        writer, chance = BatchWriter(database, "m"), random.Random(seed)
        for start in range(0, 600, 60):
            batch = [document(n) for n in range(max(0, start - 30), start + 60)]
            chance.shuffle(batch)
            writer.write(batch)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert stored(database) == 600
    assert rollups(database) == recount(database)


def test_a_writer_that_expects_new_documents_stores_what_is_delivered_again_once(database: Engine) -> None:
    writer = BatchWriter(database, "m", patience=1)
    assert writer.write([document(n) for n in range(20)]) == 20
    assert writer.write([document(n) for n in range(10, 30)], [Progress("t", 0, 5, 9, NOON)]) == 10
    assert writer.write([document(n) for n in range(30, 40)]) == 10
    assert writer.write([document(n, at=NOON + timedelta(days=3)) for n in range(40)]) == 0
    assert stored(database) == 40
    assert rollups(database) == recount(database)
    with database.connect() as connection:
        assert read_progress(connection)["t", 0].next_offset == 5


def test_writers_that_all_expect_new_documents_neither_deadlock_nor_store_one_twice(
    database: Engine,
) -> None:
    def work(seed: int) -> int:
        writer, chance, new = BatchWriter(database, "m", patience=1), random.Random(seed), 0
        for number in range(15):
            new += writer.write([document(10_000 * (seed + 1) + number)])  # from now on it expects new ones
            batch = [document(n) for n in range(40 * number, 40 * number + 80)]
            chance.shuffle(batch)
            new += writer.write(batch)
        return new

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == stored(database) == 640 + 4 * 15
    assert rollups(database) == recount(database)


def test_a_batch_that_the_database_refuses_leaves_no_trace(database: Engine) -> None:
    bad = ScoredDocument(**{name: getattr(document(5), name) for name in ScoredDocument.__slots__} | {"text": "a\0b"})
    with pytest.raises(DocumentRefused):
        BatchWriter(database, "m").write([document(1), bad], [Progress("t", 0, 2, 2, NOON)])
    assert stored(database) == 0
    assert rollups(database) == []
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM stream_progress")).scalar_one() == 0


def test_days_are_partitioned_and_old_ones_share_a_partition(database: Engine) -> None:
    days = [
        NOON,
        NOON + timedelta(days=1),
        datetime(1999, 12, 31, 23, 59, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ]
    BatchWriter(database, "m").write([document(n, at=at) for n, at in enumerate(days)])
    with database.connect() as connection:
        found = connection.execute(text("SELECT DISTINCT tableoid::regclass::text FROM documents ORDER BY 1")).scalars()
        assert list(found) == ["documents_20260310", "documents_20260311", "documents_before_2000"]
    assert rollups(database) == recount(database)


def test_a_day_that_was_dropped_meanwhile_is_made_again(database: Engine) -> None:
    writer = BatchWriter(database, "m")
    writer.write([document(1)])
    with database.begin() as connection:
        connection.execute(text("DROP TABLE documents_20260310"))
        connection.execute(text("DROP TABLE scores_20260310"))
    assert writer.write([document(2)]) == 1


@pytest.mark.parametrize("staging_made", [True, False], ids=["COPY meets it", "a statement meets it"])
def test_a_connection_that_the_server_ends_is_replaced(database: Engine, staging_made: bool) -> None:
    writer = BatchWriter(database, "m")
    writer.write([document(1)])
    if not staging_made:
        database.dispose()
    ended: list[int] = []

    @event.listens_for(database, "checkout")  # after the pool's own look, as if it happened just then
    def end(connection: psycopg.Connection[object], record: object, proxy: object) -> None:
        if not ended:
            ended.append(connection.info.backend_pid)
            url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(url, autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(%s, 5000)", ended)

    assert writer.write([document(2)]) == 1
    assert ended and rollups(database) == recount(database)


def test_no_server_is_said_in_one_line_without_the_password() -> None:
    engine = open_engine(StorageSettings(url=SecretStr("postgresql://u:secret@127.0.0.1:1/none"), connect_timeout=2))
    with pytest.raises(DatabaseUnreachable) as caught:
        BatchWriter(engine, "m").write([document(1)])
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_database_without_the_schema_says_what_to_run(database: Engine) -> None:
    migrate.downgrade(database, "base")
    with pytest.raises(SchemaMissing, match="newsquake db upgrade"):
        BatchWriter(database, "m").write([document(1)])


def test_progress_is_committed_with_the_batch_and_event_time_never_goes_back(database: Engine) -> None:
    writer = BatchWriter(database, "m", clock=lambda: NOON)
    writer.write([document(1)], [Progress("t", 0, 5, 9, NOON)])
    writer.write([], [Progress("t", 0, 9, 9, NOON - timedelta(hours=1))])
    with database.begin() as connection:
        record_progress(connection, [Progress("t", 0, 9, 12)], now=NOON + timedelta(seconds=30))
        row = connection.execute(text("SELECT * FROM stream_progress")).one()
        assert backlog(connection) == 3
    assert (row.next_offset, row.end_offset) == (9, 12)
    assert (row.event_time, row.seen_at, row.updated_at) == (NOON, NOON, NOON + timedelta(seconds=30))


OLD, NEW = UUID(int=1), UUID(int=2)


def test_a_late_report_does_not_set_progress_back_but_a_new_deal_does(database: Engine) -> None:
    def after(*progress: Progress) -> int:
        with database.begin() as connection:
            record_progress(connection, progress, now=NOON)
            return read_progress(connection)["t", 0].next_offset

    assert after(Progress("t", 0, 5, 9, topic_id=OLD)) == 5
    assert after(Progress("t", 0, 8, 9, topic_id=OLD, since=5)) == 8
    assert after(Progress("t", 0, 6, 9, topic_id=OLD, since=5)) == 8, "seen before, written after"
    assert after(Progress("t", 0, 2, 9, topic_id=OLD)) == 2
    assert after(Progress("t", 0, 1, 9, topic_id=NEW)) == 1
    with pytest.raises(DatabaseBehind):
        after(Progress("t", 0, 7, 9, topic_id=OLD, since=1))


@pytest.mark.parametrize("lost", ["UPDATE stream_progress SET next_offset = 7", "DELETE FROM stream_progress"])
def test_a_database_that_has_lost_commits_is_noticed_at_the_next_batch(database: Engine, lost: str) -> None:
    writer = BatchWriter(database, "m")
    writer.write([document(1)], [Progress("t", 0, 8, 9)])
    with database.begin() as connection:
        connection.execute(text(lost))
    with pytest.raises(DatabaseBehind, match="t/0"):
        writer.write([document(2)], [Progress("t", 0, 9, 9, since=8)])
    assert stored(database) == 1
