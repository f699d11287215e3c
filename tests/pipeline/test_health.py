"""A worker's health over real HTTP on loopback."""

import asyncio
import json
import socket

import httpx
import pytest

from pipeline.errors import PortInUse
from pipeline.health import Health


def test_a_worker_lives_before_it_is_ready_and_says_what_is_missing() -> None:
    checks: dict[str, str | None] = {"model": None, "partitions": "none assigned"}

    async def scenario() -> list[httpx.Response]:
        async with Health("127.0.0.1", 0, lambda: checks) as health, httpx.AsyncClient(base_url=health.url) as client:
            answers = [await client.get("/livez"), await client.get("/readyz")]
            checks["partitions"] = None
            return [*answers, await client.get("/readyz"), await client.get("/metrics"), await client.get("/")]

    live, waiting, ready, metrics, other = asyncio.run(scenario())
    assert live.status_code == 200
    assert waiting.status_code == 503
    assert json.loads(waiting.text)["checks"] == {"model": "ok", "partitions": "none assigned"}
    assert ready.status_code == 200 and json.loads(ready.text)["status"] == "ok"
    assert metrics.status_code == 200 and metrics.headers["content-type"].startswith("text/plain")
    for name in ("batch_messages", "seconds", "latency_seconds", "dead_letters", "retries", "lag"):
        assert f"# TYPE newsquake_pipeline_{name}" in metrics.text.replace("_total", "")
    assert other.status_code == 404


def test_a_port_in_use_is_said_with_what_to_do() -> None:
    async def scenario(port: int) -> None:
        async with Health("127.0.0.1", port, dict):
            raise AssertionError("it listens on a port of another")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(PortInUse, match="NEWSQUAKE_PIPELINE_HEALTH_PORT"):
            asyncio.run(scenario(taken.getsockname()[1]))
