"""Soak and backlog: small runs on real servers, what makes them fail, and what a line through samples says."""

import csv
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.endurance import backlog as backlog_bench
from bench.endurance import soak as soak_bench
from bench.endurance.backlog import PLUMBING, backlog
from bench.endurance.load import Load
from bench.endurance.samples import Sample, SampleFile
from bench.endurance.soak import figures, soak
from bench.endurance.tables import backlog_remarks, backlog_tables, soak_remarks, soak_tables
from bench.endurance.trend import course, slope_per_min, warm_up
from bench.errors import BenchError, BenchUsage
from bench.pipeline.servers import Servers

QUICK = ("-m", "bench.endurance.slow_worker", "0.002")
SOAK = soak_bench.Request(seconds=600, every=0.25, ahead=(300, 800), worker=QUICK, distinct=400, patience=20)
BACKLOG = backlog_bench.Request(
    messages=60_000, seconds=2, distinct=400, worker=PLUMBING, plumbing=False, control=True
)  # fmt: skip

Runs = dict[str, Future[dict[str, Any]]]


def ignored(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the soak writes its samples."""
    return tmp_path_factory.mktemp("soak") / "samples.csv"


@pytest.fixture(scope="module")
def runs(servers: Servers, samples: Path) -> Iterator[Runs]:
    """A soak that somebody stops after two seconds, one whose worker loses, and a backlog: all at the same time."""
    stop = threading.Event()

    def impatient(stage: str, done: int, total: int) -> None:
        if stage == "soak" and done >= 2:
            stop.set()

    losing = replace(SOAK, seconds=0.1, worker=("-m", "tests.bench.losing_worker"))
    with ThreadPoolExecutor(3) as threads:
        yield {
            "soak": threads.submit(soak, servers, Load(None, 400), replace(SOAK, samples=samples), impatient, stop),
            "losing": threads.submit(soak, servers, Load(None, 400), losing, ignored, threading.Event()),
            "backlog": threads.submit(backlog, servers, Load(None, 400), BACKLOG, ignored),
        }


def test_a_soak_that_is_stopped_early_tells_the_figures_so_far(runs: Runs) -> None:
    document = json.loads(json.dumps(runs["soak"].result(), allow_nan=False))
    assert document["ended_early"] and 2 <= document["seconds"] < 60
    assert document["warm_up_s"] == pytest.approx(document["seconds"] / 5)
    assert document["published"] > document["docs"] > 400  # so that texts came a second time
    assert document["docs_per_s"] > 0
    memory = document["memory"]
    assert 0 < memory["start_mb"] <= memory["peak_mb"] and memory["end_mb"] <= memory["peak_mb"]
    assert document["memory_by_worker"] == [memory]
    assert 1 <= document["connections"]["max"] <= 4
    assert document["fds"]["max"] > 3 and document["threads"]["max"] > 1
    assert {"postgresql", "faust-streaming", "cpu", "cores"} <= set(document["machine"])


def test_what_waits_is_filled_up_and_bounded(runs: Runs) -> None:
    document = runs["soak"].result()
    assert document["published"] > 800
    assert 0 <= document["lag"]["min"] <= document["lag"]["max"] <= 800


def test_every_sample_is_in_the_file(runs: Runs, samples: Path) -> None:
    document = runs["soak"].result()
    rows = list(csv.DictReader(samples.read_text().splitlines()))
    assert len(rows) >= document["samples"] >= 3
    assert [int(row["docs"]) for row in rows] == sorted(int(row["docs"]) for row in rows)
    assert float(rows[-1]["resident_mb"]) == pytest.approx(document["memory"]["end_mb"], abs=0.01)


def test_a_soak_whose_worker_loses_documents_fails(runs: Runs) -> None:
    with pytest.raises(BenchError, match=r"documents of [\d,]+ ids, .* are stored of [\d,]+ messages"):
        runs["losing"].result()


def test_a_worker_holds_no_more_before_many_messages_and_one_that_hoards_does(runs: Runs) -> None:
    document = json.loads(json.dumps(runs["backlog"].result(), allow_nan=False))
    assert document["growth_mb"] == document["waiting"]["growth_mb"] < 10
    assert document["empty_growth_mb"] < 10
    assert document["control_growth_mb"] > 12 + document["growth_mb"]
    assert document["against_empty_mb"] == document["waiting"]["peak_mb"] - document["empty"]["peak_mb"]
    assert document["waiting"]["left"] > 0 == document["empty"]["left"]


def test_people_get_what_was_held_and_the_goals(runs: Runs) -> None:
    soaked, waited = runs["soak"].result(), runs["backlog"].result()
    assert [made.row_count for made in soak_tables(soaked)] == [5, 2]
    assert soak_remarks(soaked)[0].startswith("stopped early")
    assert [made.row_count for made in backlog_tables(waited)] == [3, 2]
    assert "against the worker before hardly any" in backlog_remarks(waited)[0]


def test_a_line_is_not_moved_by_a_few_wild_samples() -> None:
    chance = random.Random(1)
    seconds = [5.0 * number for number in range(100)]
    values = [500 + 0.02 * second + chance.uniform(-3, 3) for second in seconds]
    for wild in chance.sample(range(100), 20):
        values[wild] += 400
    assert slope_per_min(seconds, values) == pytest.approx(1.2, abs=0.5)
    assert slope_per_min(seconds, [500.0] * 100) == 0


def test_a_count_that_swings_has_not_grown_and_one_that_climbs_has() -> None:
    assert course([2, 1, 2, 1, 2, 1, 2, 1, 1]).growth == 0
    assert course([1, 1, 2, 2, 3, 3, 4, 4, 5]).growth == 3
    assert course([7]).growth == 0
    assert (course([3, 9, 4]).first, course([3, 9, 4]).last, course([3, 9, 4]).max) == (3, 4, 9)


def test_the_warm_up_is_five_minutes_or_a_fifth() -> None:
    assert (warm_up(1800), warm_up(180), warm_up(7200)) == (300, 36, 300)


def test_the_worker_whose_memory_rises_fastest_stands_for_all() -> None:
    taken = [
        Sample(float(second), worker, 100 + worker * second, 10, 20 + worker, 2, 1, 10 * second, 5, 1.0)
        for second in range(0, 100, 5)
        for worker in (0, 1)
    ]
    found = figures(taken, 2)
    assert [memory["slope_mb_per_min"] for memory in found["memory_by_worker"]] == pytest.approx([0, 60])
    assert found["memory"] == found["memory_by_worker"][1]
    assert found["fds"] == {"first": 21, "last": 21, "max": 21, "growth": 0}
    assert found["docs_per_s"] == pytest.approx(10)
    with pytest.raises(BenchError, match="too few for a line"):
        figures(taken[:4], 2)


def test_no_text_comes_twice_and_ids_are_consecutive() -> None:
    load = Load(None, 50)
    items = load.take(30) + load.take(90)
    assert len({item.message.text for item in items}) == len(items) == load.published
    assert [int(item.message.id) for item in items] == list(range(120))
    assert load.ends == (items[0].message.id, items[-1].message.id)
    assert load.bytes == sum(len(item.value) for item in items)


def test_a_file_for_samples_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(BenchUsage, match="cannot be written"):
        SampleFile(tmp_path / "missing" / "samples.csv")


_INTERRUPTED_TWICE = """
import os, signal, sys
from newsquake.commands.bench import _interrupted

stop = _interrupted()
os.kill(os.getpid(), signal.SIGINT)
assert stop.wait(5)
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    sys.exit(7)
"""


def test_the_second_interrupt_is_as_ever() -> None:
    """In a process of its own: whoever runs the tests may have signals arranged otherwise."""
    assert subprocess.run([sys.executable, "-c", _INTERRUPTED_TWICE], timeout=60).returncode == 7
