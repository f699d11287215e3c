"""What the scheduler does for the tables: all of it is done by a running one, and none of it after the stop."""

import threading
from datetime import timedelta

from sqlalchemy import Engine

from alerts.upkeep import Upkeep
from storage.partitions import document_days
from storage.search import waiting
from storage.settings import StorageSettings
from storage.writer import BatchWriter
from tests.alerts.test_scheduler import eventually, running
from tests.storage.rows import NOON, document, stored


def test_a_running_scheduler_indexes_and_makes_days(database: Engine, storage_settings: StorageSettings) -> None:
    BatchWriter(database, "m").write([document(n) for n in range(30)])
    with running(storage_settings):
        eventually(lambda: waiting(database) == 0 and len(document_days(database)) >= 3)


def test_retention_follows_the_settings_and_is_off_without_them(
    database: Engine, storage_settings: StorageSettings
) -> None:
    BatchWriter(database, "m").write([document(n, at=NOON + timedelta(days=n)) for n in range(4)])
    clock = lambda: NOON + timedelta(days=5)  # noqa: E731
    Upkeep(database, storage_settings, threading.Event(), clock).retain()
    assert stored(database) == 4
    settings = storage_settings.model_copy(update={"keep_days": 3})
    stop = threading.Event()
    stop.set()
    Upkeep(database, settings, stop, clock).retain()
    assert stored(database) == 4
    Upkeep(database, settings, threading.Event(), clock).retain()
    assert stored(database) == 2


def test_a_database_that_is_away_is_a_line_in_the_log(storage_settings: StorageSettings, database: Engine) -> None:
    nowhere = database.url.set(port=1)
    from sqlalchemy import create_engine

    upkeep = Upkeep(create_engine(nowhere), storage_settings, threading.Event())
    upkeep.index()
    upkeep.days_ahead()
