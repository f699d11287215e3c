"""The worker's parts at work together, without a broker that answers."""

import asyncio
import socket

import pytest
import structlog
from sqlalchemy import create_engine

from pipeline import worker as workers
from pipeline.settings import PipelineSettings
from pipeline.worker import _Worker
from tests.pipeline.diary import Diary

A = ("newsquake.news", 0)


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
