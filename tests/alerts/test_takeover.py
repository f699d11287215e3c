"""Two scheduler processes; the one that leads is killed or frozen while an alert is due: who is told, how often."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from storage.settings import StorageSettings
from storage.tables import notifications
from tests.alerts.test_tick import END, bank_run
from tests.alerts.traffic import read_to_the_end

pytestmark = pytest.mark.integration

TAKES_OVER = 30  # seconds that are promised


class Receiver:
    """A webhook that counts what it is told, and may do something before it answers the first time."""

    def __init__(self) -> None:
        self.titles = list[str]()
        self.first: Callable[[], None] = lambda: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.titles.append(said["title"])
                if len(receiver.titles) == 1:
                    receiver.first()
                try:
                    self.send_response(200)
                    self.end_headers()
                except OSError:
                    pass  # the one that told is dead

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join(10)


@contextmanager
def scheduler(settings: StorageSettings, receiver: Receiver, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    env = {name: value for name, value in os.environ.items() if not name.startswith("NEWSQUAKE_")}
    env |= {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "NEWSQUAKE_STORAGE_URL": settings.url.get_secret_value(),
        "NEWSQUAKE_ALERTS_APPRISE_URLS": receiver.url,
        "NEWSQUAKE_ALERTS_CONSOLE": "false",
        "NEWSQUAKE_ALERTS_REPLAY": "true",
    }
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "newsquake", "scheduler"], env=env, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def until(true: Callable[[], bool], seconds: float = TAKES_OVER) -> float:
    """Wait for it; how long that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return time.monotonic() - began


def says(log: Path, event: str) -> bool:
    return event in log.read_text("utf-8")


def unsent(engine: Engine) -> int:
    with engine.connect() as connection:
        waiting = select(func.count()).select_from(notifications).where(notifications.c.state != "sent")
        return int(connection.execute(waiting).scalar_one())


def written(engine: Engine) -> Counter[str]:
    with engine.connect() as connection:
        return Counter(connection.execute(select(notifications.c.title)).scalars())


def all_told(engine: Engine, receiver: Receiver) -> bool:
    return bool(receiver.titles) and unsent(engine) == 0


def settle(engine: Engine) -> None:
    read_to_the_end(engine, END + timedelta(minutes=3), datetime.now(UTC))


@pytest.fixture
def two(
    database: Engine, storage_settings: StorageSettings, receiver: Receiver, tmp_path: Path
) -> "Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]":
    """The scheduler that leads and one that stands by."""
    bank_run(database)
    with scheduler(storage_settings, receiver, tmp_path / "first.log") as first:
        until(lambda: says(tmp_path / "first.log", "leading"))
        with scheduler(storage_settings, receiver, tmp_path / "second.log") as second:
            until(lambda: says(tmp_path / "second.log", "standing_by"))
            yield first, second


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_the_other_takes_over_within_half_a_minute_and_tells_everything_once(
    database: Engine,
    receiver: Receiver,
    two: "tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]",
    blow: signal.Signals,
) -> None:
    first, second = two
    first.send_signal(blow)
    settle(database)
    took = until(lambda: all_told(database, receiver))
    assert took < TAKES_OVER and second.poll() is None
    if blow == signal.SIGSTOP:
        first.send_signal(signal.SIGCONT)
        time.sleep(3)  # it wakes, finds its session ended, and stands by
        assert first.poll() is None
    assert Counter(receiver.titles) == written(database)
    assert len(receiver.titles) >= 3


def test_a_leader_killed_while_it_tells_repeats_that_message_at_most(
    database: Engine, receiver: Receiver, two: "tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]"
) -> None:
    first, _ = two
    receiver.first = first.kill
    settle(database)
    until(lambda: all_told(database, receiver))
    assert first.wait(5) == -signal.SIGKILL
    extra = Counter(receiver.titles) - written(database)
    assert extra == {receiver.titles[0]: 1}, "the outbox could not know that it had arrived; nothing else comes twice"
    assert not written(database) - Counter(receiver.titles)


def test_a_leader_killed_while_it_evaluates_leaves_nothing_half_done(
    database: Engine, receiver: Receiver, two: "tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]"
) -> None:
    first, _ = two
    with database.begin() as connection:
        # It evaluates, and stands before its first event until it is dead.
        connection.execute(text("LOCK TABLE alert_events IN SHARE MODE"))
        settle(database)
        blocked = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
        with database.connect() as other:
            until(lambda: other.execute(blocked).first() is not None)
        first.kill()
    until(lambda: all_told(database, receiver))
    assert Counter(receiver.titles) == written(database)
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alert_events WHERE kind = 'fired'")).scalar_one() == 1
