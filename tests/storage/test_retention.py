"""Old days go as a whole; what they amounted to stays, and a late redelivery changes nothing."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from storage import retention
from storage.errors import TransactionAborted
from storage.partitions import document_days, ensure_ahead
from storage.retention import apply_retention
from storage.writer import BatchWriter
from tests.storage.rows import NOON, all_rollups, document, stored

BATCH = [document(n, at=NOON + timedelta(days=n % 5)) for n in range(50)]
NOW = NOON + timedelta(days=10)


def days(engine: Engine) -> list[date]:
    return [day.day for day in document_days(engine)]


def test_days_are_dropped_and_rollups_stay(database: Engine) -> None:
    writer = BatchWriter(database, "m")
    writer.write([*BATCH, document(99, at=datetime(1999, 1, 1, tzinfo=UTC))])
    before = all_rollups(database)
    planned = apply_retention(database, keep=timedelta(days=8), now=NOW, dry_run=True)
    assert stored(database) == 51 and len(planned.days) == 2 and planned.keys == 1 and planned.days[0].bytes > 0
    assert planned.documents_before_2000 == 1
    done = apply_retention(database, keep=timedelta(days=8), now=NOW)
    assert [day.day for day in done.days] == [NOON.date(), NOON.date() + timedelta(days=1)]
    assert days(database) == [NOON.date() + timedelta(days=n) for n in (2, 3, 4)]
    assert apply_retention(database, keep=timedelta(days=8), now=NOW).days == ()
    assert stored(database) == 30
    assert all_rollups(database) == before
    assert writer.write(BATCH) == 0, "delivered again, long after"
    assert BatchWriter(database, "other").write(BATCH) == 0
    assert stored(database) == 30 and all_rollups(database) == before


def test_a_new_document_of_a_dropped_day_is_stored_until_the_next_time(database: Engine) -> None:
    writer = BatchWriter(database, "m")
    writer.write(BATCH)
    apply_retention(database, keep=timedelta(days=1), now=NOW)
    assert writer.write([document(100)]) == 1
    assert days(database) == [NOON.date()]


def test_keys_go_later_in_small_steps(database: Engine) -> None:
    BatchWriter(database, "m").write(BATCH)
    keep = timedelta(days=8)
    assert apply_retention(database, keep=keep, keep_keys=timedelta(days=9), now=NOW).keys == 10
    assert apply_retention(database, keep=keep, keep_keys=timedelta(days=1), now=NOW).keys == 10, "never before"
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM document_keys")).scalar_one() == 30


def test_keys_go_from_every_page_and_no_others(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.retention._PAGES", 2)
    insert = text("""
        INSERT INTO document_keys SELECT gen_random_uuid(), CAST(:now AS timestamptz) - (n % 20) * interval '1 day'
        FROM generate_series(0, 1999) AS n""")
    with database.begin() as connection:
        connection.execute(insert, {"now": NOW})
    keep = timedelta(days=5)
    assert apply_retention(database, keep=keep, keep_keys=keep, now=NOW).keys == 1_400
    with database.connect() as connection:
        left = connection.execute(text("SELECT count(*), min(published_at) FROM document_keys")).one()
    assert tuple(left) == (600, NOW - timedelta(days=5))


def test_a_document_that_comes_after_its_day_went_keeps_its_key(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, late = BatchWriter(database, "m"), [document(100)]
    writer.write(BATCH)
    drop = retention._drop

    def drop_and_write(*dropped: Any) -> None:
        drop(*dropped)
        writer.write(late)

    monkeypatch.setattr(retention, "_drop", drop_and_write)
    keep = timedelta(days=8)
    assert apply_retention(database, keep=keep, keep_keys=keep, now=NOW).keys == 20
    assert writer.write(late) == BatchWriter(database, "m").write(late) == 0
    assert stored(database) == 31


def test_days_ahead_are_made_and_survive(database: Engine) -> None:
    ensure_ahead(database, NOW)
    ensure_ahead(database, NOW)
    assert days(database) == [NOW.date() + timedelta(days=n) for n in range(3)]
    assert apply_retention(database, keep=timedelta(days=1), now=NOW).days == ()


def test_a_reader_holds_a_day_up_and_is_told(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.retention._TRIES", 1)
    BatchWriter(database, "m").write(BATCH)
    with database.connect() as reader:
        reader.execute(text("SELECT count(*) FROM documents"))
        with pytest.raises(TransactionAborted):
            apply_retention(database, keep=timedelta(days=1), now=NOW)
    assert stored(database) == 50
    assert len(apply_retention(database, keep=timedelta(days=1), now=NOW).days) == 5


def test_days_before_2000_stay_as_long_as_it_is_said(database: Engine) -> None:
    BatchWriter(database, "m").write([document(1, at=datetime(1999, 12, 31, tzinfo=UTC)), document(2)])
    keep = NOW - datetime(1999, 6, 1, tzinfo=UTC)
    assert apply_retention(database, keep=keep, now=NOW).documents_before_2000 == 0
    assert stored(database) == 2
    assert apply_retention(database, keep=timedelta(days=30), now=NOW).documents_before_2000 == 1
    assert stored(database) == 1


def test_what_reads_days_before_2000_is_waited_for(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    BatchWriter(database, "m").write([document(1, at=datetime(1999, 12, 31, tzinfo=UTC))])
    with database.connect() as reader:
        reader.execute(text("SELECT count(*) FROM documents"))
        monkeypatch.setattr(retention, "sleep", lambda seconds: reader.rollback())
        assert apply_retention(database, keep=timedelta(days=30), now=NOW).documents_before_2000 == 1
    assert stored(database) == 0


def test_a_day_is_dropped_in_a_tenth_of_a_second(database: Engine) -> None:
    writer = BatchWriter(database, "m")
    for start in range(0, 20_000, 1000):
        writer.write([document(n, at=NOON + timedelta(seconds=n % 3600)) for n in range(start, start + 1000)])
    found = []
    with database.connect() as connection:
        for _ in range(3):
            began = time.perf_counter()
            connection.execute(text("SELECT drop_document_day('2026-03-10')"))
            found.append(time.perf_counter() - began)
            connection.rollback()
    assert min(found) < 0.1
