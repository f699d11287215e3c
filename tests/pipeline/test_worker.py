"""The worker's parts at work together, without a broker that answers."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import structlog
from faust.types import TP
from sqlalchemy import create_engine

from pipeline import metrics
from pipeline import worker as workers
from pipeline.app import create_app
from pipeline.settings import PipelineSettings
from pipeline.worker import _Worker
from tests.pipeline.diary import Diary

A, B = TP("newsquake.news", 0), TP("newsquake.news", 1)


def made(settings: PipelineSettings) -> _Worker:
    """A worker that has not connected to anything."""
    return _Worker(settings, create_engine("postgresql+psycopg://"), Diary())


def test_dead_letters_that_cannot_be_read_in_time_hold_up_no_deal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_REMEMBER_WITHIN", 0.2)

    async def scenario(port: int) -> float:
        worker = made(PipelineSettings(broker=f"127.0.0.1:{port}"))
        began = asyncio.get_running_loop().time()
        await worker._remember_dead_letters([A])
        return asyncio.get_running_loop().time() - began

    with structlog.testing.capture_logs() as logs, socket.create_server(("127.0.0.1", 0)) as silent:
        assert asyncio.run(scenario(silent.getsockname()[1])) < 2
    assert [(entry["event"], entry["error"]) for entry in logs] == [("dead_letters_not_read", "not within 0 s")]


_STARTING = """
import asyncio, sys
from pipeline import worker
from pipeline.settings import PipelineSettings
from tests.pipeline.test_worker import made
worker.STOP_WITHIN = 1.0
sys.exit(asyncio.run(made(PipelineSettings(broker=sys.argv[1])).run()))
"""


def test_a_worker_that_is_still_joining_hears_when_it_is_to_leave() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [sys.executable, "-c", _STARTING, f"127.0.0.1:{silent.getsockname()[1]}"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            silent.settimeout(60)
            connection, _ = silent.accept()
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(15) == 0
            finally:
                process.kill()
                connection.close()


def test_partitions_that_moved_away_leave_no_figures_behind(tmp_path: Path) -> None:
    gauges = (metrics.LAG, metrics.END, metrics.STORED, metrics.COMMITTED)

    async def scenario() -> None:
        app = create_app(PipelineSettings(), str(tmp_path))
        app.finalize()
        worker = made(PipelineSettings())
        worker._processor(app, app.consumer)
        for gauge in gauges:
            gauge.labels(*A).set(5)
        app.consumer._deal(frozenset({B}))
        await asyncio.gather(*worker._tasks)
        app.consumer._thread.thread_loop.close()  # of the thread that was never started

    asyncio.run(scenario())
    assert [sample for gauge in gauges for metric in gauge.collect() for sample in metric.samples] == []
