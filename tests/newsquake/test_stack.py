"""The one-machine stack as a process of its own, with real servers: it starts, heals and ends, leaving nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from kafka.admin import KafkaAdminClient

from newsquake.settings import StackSettings
from newsquake.stack.run import run_stack
from newsquake.stack.stack import Stack

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).with_name("stack_program.py")
ROOT = Path(__file__).parents[2]
OUTSIDE = ("NEWSQUAKE_KAFKA_HOME", "NEWSQUAKE_PIPELINE_BROKER", "NEWSQUAKE_STORAGE_URL")


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that is up."""

    process: subprocess.Popen[str]
    pids: dict[str, int]
    broker: str
    url: str

    def line(self, part: str, seconds: float = 20) -> str:
        """The next line that contains `part`."""
        return next_line(self.process, part, seconds)

    def family(self) -> list[psutil.Process]:
        """Everything that descends from the stack."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send the signal; the seconds until the process was gone."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - began


Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def data_dir(server_dir: Path, topic_names: Callable[[str], str]) -> Path:
    """A data directory that PostgreSQL's system user can reach."""
    return server_dir / topic_names("stack")


@pytest.fixture
def launch(data_dir: Path) -> Iterator[Launch]:
    """Starts stacks as processes; whatever is left of them is ended."""
    started: list[subprocess.Popen[str]] = []

    def launch(**settings: str) -> subprocess.Popen[str]:
        env = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])
        argv = (sys.executable, str(PROGRAM), str(data_dir))
        process = subprocess.Popen(
            argv, env={**env, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a stack run in this very process, with a tiny worker."""
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("newsquake.stack.stack.program_commands", lambda workers: {"worker": ("sleep", "60")})


def next_line(process: subprocess.Popen[str], part: str, seconds: float) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    for line in process.stdout:
        if part in line:
            return line
        if time.monotonic() > deadline:
            break
    raise AssertionError(f"no line with {part!r}; {process.stderr.read() if process.poll() and process.stderr else ''}")


def running(process: subprocess.Popen[str]) -> Running:
    told: dict[str, Any] = json.loads(next_line(process, "UP ", 60).removeprefix("UP "))
    return Running(process, told["pids"], told["broker"], told["url"])


def test_it_starts_and_stops_within_ten_seconds_and_leaves_nothing(launch: Launch) -> None:
    began = time.monotonic()
    stack = running(launch())
    assert time.monotonic() - began < 10
    with psycopg.connect(stack.url) as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone() == (0,)
    admin = KafkaAdminClient(bootstrap_servers=stack.broker)
    assert {"newsquake.news", "newsquake.comments", "newsquake.dead-letters"} <= set(admin.list_topics())
    admin.close()
    assert stack.broker in stack.line("child sees")
    family = stack.family()
    assert len(family) > len(stack.pids)
    assert stack.end() < 10
    assert stack.process.returncode == 0
    assert not psutil.wait_procs(family, timeout=1)[1]


def test_a_sigkill_of_the_stack_leaves_nothing_behind(launch: Launch) -> None:
    stack = running(launch())
    family = stack.family()
    assert {process.pid for process in family} >= set(stack.pids.values())
    stack.end(signal.SIGKILL)
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert gone


def test_a_second_signal_hurries(launch: Launch) -> None:
    stack = running(launch())
    family = stack.family()
    stack.process.send_signal(signal.SIGINT)
    assert stack.end(signal.SIGINT) < 5
    assert not psutil.wait_procs(family, timeout=2)[1]


def test_the_same_data_directory_starts_again_with_its_rows(launch: Launch) -> None:
    first = running(launch())
    with psycopg.connect(first.url) as connection:
        connection.execute("INSERT INTO models (name, first_used) VALUES ('kept', now())")
        connection.execute(
            "INSERT INTO stream_progress (topic, partition, next_offset, end_offset) VALUES ('newsquake.news', 0, 5, 9)"
        )
    first.end(signal.SIGKILL)
    second = running(launch())
    with psycopg.connect(second.url) as connection:
        assert connection.execute("SELECT name FROM models").fetchall() == [("kept",)]
        # The in-memory broker began again at offset 0, so an earlier one's progress would be a lie.
        assert connection.execute("SELECT count(*) FROM stream_progress").fetchone() == (0,)


def test_a_killed_worker_is_restarted(launch: Launch) -> None:
    stack = running(launch())
    os.kill(stack.pids["worker"], signal.SIGKILL)
    assert "restart in 1 s" in stack.line("worker was ended by signal 9")
    stack.line("worker restarted (pid ")


def test_a_killed_database_comes_back_under_the_same_address(launch: Launch) -> None:
    stack = running(launch())
    os.kill(stack.pids["postgres"], signal.SIGKILL)
    stack.line("postgres restarted (pid ", 40)
    with psycopg.connect(stack.url) as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone() == (0,)


def test_a_killed_memory_broker_comes_back_with_topics_and_a_loud_word(launch: Launch) -> None:
    stack = running(launch())
    os.kill(stack.pids["tansu"], signal.SIGKILL)
    assert "not consumed before it died are gone" in stack.line("WARNING: tansu")
    stack.line("worker restarted (pid ")
    admin = KafkaAdminClient(bootstrap_servers=stack.broker)
    assert "newsquake.news" in admin.list_topics()
    admin.close()


def test_a_second_stack_in_the_same_data_directory_is_refused(launch: Launch) -> None:
    running(launch())
    second = launch()
    _, stderr = second.communicate(timeout=20)
    assert second.returncode == 2
    assert "is in use by another stack (process " in stderr
    assert "NEWSQUAKE_DATA_DIR" in stderr


def test_a_taken_port_is_refused_by_name(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = launch(NEWSQUAKE_POSTGRES_PORT=str(port))
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in stderr
    assert "NEWSQUAKE_POSTGRES_PORT" in stderr


def test_servers_that_are_named_are_used_and_not_started(launch: Launch, broker: str, database: Any) -> None:
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    stack = running(launch(NEWSQUAKE_PIPELINE_BROKER=broker, NEWSQUAKE_STORAGE_URL=url))
    assert set(stack.pids) == {"worker", "scheduler"}
    assert stack.broker == broker


def test_kafka_is_used_and_keeps_its_messages(launch: Launch) -> None:
    if not (home := os.environ.get("NEWSQUAKE_KAFKA_HOME")):
        pytest.skip("NEWSQUAKE_KAFKA_HOME is not set: no Apache Kafka to test with")
    home = str(Path(home).absolute())
    stack = running(launch(NEWSQUAKE_KAFKA_HOME=home))
    os.kill(stack.pids["kafka"], signal.SIGKILL)
    stack.line("kafka restarted (pid ", 60)
    family = stack.family()
    assert stack.end() < 10
    assert not psutil.wait_procs(family, timeout=1)[1]
    again = running(launch(NEWSQUAKE_KAFKA_HOME=home))
    admin = KafkaAdminClient(bootstrap_servers=again.broker)
    assert "newsquake.news" in admin.list_topics()
    admin.close()


def test_a_visitor_sees_the_stack_and_gives_the_exit_code(
    data_dir: Path, capsys: pytest.CaptureFixture[str], here: None
) -> None:
    def visit(stack: Stack) -> int:
        with psycopg.connect(stack.storage_url) as connection:
            stack.say(
                f"{connection.execute('SELECT count(*) FROM documents').fetchone()}, {len(stack.workers())} worker"
            )
        return 7

    assert run_stack(StackSettings(data_dir=data_dir), while_up=visit) == 7
    assert "(0,), 1 worker" in capsys.readouterr().out


def test_a_visitors_error_ends_the_stack_and_is_raised(data_dir: Path, here: None) -> None:
    def visit(stack: Stack) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_stack(StackSettings(data_dir=data_dir), while_up=visit)
    names = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # others of this process's children may end just now
            names.append(child.name())
    assert "sleep" not in names
