"""The supervisor against tiny real children: what dies comes back, what cannot work is given up."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsquake.errors import SettingsRejected
from newsquake.stack.program import Program
from newsquake.stack.supervisor import LONGEST_DELAY, Record, Supervisor

SLEEPER = "import time\nwhile True: time.sleep(1)"


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def supervised(code: str, folder: Path) -> Iterator[tuple[Program, Supervisor, list[str]]]:
    lines: list[str] = []
    program = Program("child", (sys.executable, "-c", code), {}, folder / "child.log", on_line=lines.append)
    supervisor = Supervisor(lines.append)
    program.start()
    supervisor.watch(program)
    try:
        yield program, supervisor, lines
    finally:
        supervisor.close()
        program.stop(1)
        supervisor.join(5)
        program.stop(0)


def test_a_killed_child_comes_back_after_a_second(tmp_path: Path) -> None:
    with supervised(SLEEPER, tmp_path) as (program, supervisor, lines):
        first = program.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert until(lambda: supervisor.restarts.get("child") == 1, 5)
        assert program.pid not in (None, first)
    assert any("ended by signal 9" in line and "restart in 1 s" in line for line in lines)
    assert any(line.startswith("child restarted (pid ") for line in lines)


def test_a_death_shows_the_exit_code_and_the_end_of_the_log(tmp_path: Path) -> None:
    code = "import sys\nprint('the database is on fire', file=sys.stderr)\nsys.exit(7)"
    with supervised(code, tmp_path) as (_, _, lines):
        assert until(lambda: any("exit code 7" in line and "the database is on fire" in line for line in lines), 5)


def test_three_quick_exits_with_code_2_end_it_with_the_childs_own_words(tmp_path: Path) -> None:
    code = "import sys\nprint('newsquake: NEWSQUAKE_ALERTS_LEVEL is not a number', file=sys.stderr)\nsys.exit(2)"
    with supervised(code, tmp_path) as (_, supervisor, _):
        assert until(lambda: supervisor.failed is not None, 15)
        assert isinstance(supervisor.failed, SettingsRejected)
        assert supervisor.failed.exit_code == 2
        assert "NEWSQUAKE_ALERTS_LEVEL is not a number" in str(supervisor.failed)


def test_what_a_child_prints_is_relayed_line_by_line(tmp_path: Path) -> None:
    with supervised(f"print('负面情绪急升', flush=True)\n{SLEEPER}", tmp_path) as (_, _, lines):
        assert until(lambda: "负面情绪急升" in lines, 5)


@given(st.lists(st.tuples(st.floats(0, 59), st.sampled_from([1, 2, -9, None])), min_size=1, max_size=20))
def test_the_delay_doubles_from_1_to_30_seconds(deaths: list[tuple[float, int | None]]) -> None:
    record, delays = Record(), []
    for lived, code in deaths:
        record = record.after_death(lived, code)
        delays.append(record.delay)
    assert delays == [min(2.0**step, LONGEST_DELAY) for step in range(len(deaths))]


def test_a_minute_of_health_resets_the_delay() -> None:
    record = Record()
    for _ in range(5):
        record = record.after_death(1, 1)
    assert record.after_death(61, 1).delay == pytest.approx(1)


def test_an_exit_with_code_2_after_long_work_is_not_held_against_the_settings() -> None:
    record = Record()
    for _ in range(5):
        record = record.after_death(3600, 2)
    assert not record.hopeless


def test_an_exit_with_code_2_while_a_server_is_away_is_not_held_against_the_settings() -> None:
    record = Record()
    for _ in range(5):
        record = record.after_death(1, 2, calm=False)
    assert not record.hopeless
