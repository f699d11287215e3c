"""The scheduler as a whole: it evaluates, delivers, leads alone, survives the database and stops."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from alerts.leader import Leadership
from alerts.queries import list_alerts
from alerts.scheduler import run_scheduler
from alerts.settings import AlertsSettings
from storage.engine import open_engine
from storage.errors import SchemaMissing
from storage.settings import StorageSettings
from tests.alerts.test_tick import END, bank_run
from tests.alerts.traffic import read_to_the_end

pytestmark = pytest.mark.integration

SETTINGS = AlertsSettings(replay=True, tick_seconds=0.1)


@contextmanager
def running(storage_settings: StorageSettings) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=run_scheduler, args=(storage_settings, SETTINGS, stop))
    thread.start()
    try:
        yield
    finally:
        began = time.monotonic()
        stop.set()
        thread.join(10)
        assert not thread.is_alive() and time.monotonic() - began < 5


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def all_sent(engine: Engine) -> bool:
    found = list_alerts(engine)
    states = [row["state"] for alert in found for event in alert["events"] for row in event["notifications"]]
    return bool(states) and set(states) == {"sent"}


def test_it_evaluates_prints_and_stops(
    database: Engine, storage_settings: StorageSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    bank_run(database)
    read_to_the_end(database, END + timedelta(minutes=3), datetime.now(UTC))
    with running(storage_settings):
        eventually(lambda: all_sent(database))
    assert "Newsquake: negative spike in financials (comments)" in capsys.readouterr().out


def test_a_database_that_drops_its_connections_is_tried_again(
    database: Engine, storage_settings: StorageSettings
) -> None:
    others = "application_name = 'newsquake-scheduler' AND datname = current_database()"
    cut = text(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}")
    with running(storage_settings):
        eventually(lambda: database.connect().execute(cut).scalar_one() > 0)
        bank_run(database)
        read_to_the_end(database, END + timedelta(minutes=3), datetime.now(UTC))
        eventually(lambda: all_sent(database))


def test_a_missing_schema_ends_it_at_once(admin: Engine, storage_settings: StorageSettings) -> None:
    engine = open_engine(storage_settings)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()
    with pytest.raises(SchemaMissing, match="newsquake db upgrade"):
        run_scheduler(storage_settings, SETTINGS, threading.Event())


def test_one_leads_and_the_next_takes_over(database: Engine) -> None:
    first, second = Leadership(database), Leadership(database)
    assert first.held() and first.held()
    assert not second.held()
    first.release()
    eventually(second.held)
    second.release()
