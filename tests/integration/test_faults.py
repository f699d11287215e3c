"""Faults that stay end the worker at once, with one clear line; nothing is lost by that."""

import json
import secrets
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text

from newsquake.servers.postgres import Postgres
from newsquake.stack.guardian import Guardian
from pipeline.settings import PipelineSettings
from storage import migrate
from storage.engine import open_engine
from storage.settings import StorageSettings
from tests.integration.conftest import Workers, count, environment, eventually, produce
from tests.integration.test_delivery import ids, messages

SLOW = str(Path(__file__).with_name("slow_worker.py"))
AT_ONCE = 30.0
"""Seconds; a fault that is retried takes the worker's five minutes."""


@pytest.fixture
def full_soon(server_dir: Path, own_postgres: Postgres) -> Iterator[StorageSettings]:
    """A database on a file system of 20 MB, on a server of its own: its checkpoints will fail."""
    place = server_dir / f"small-{uuid.uuid4().hex[:8]}"
    place.mkdir()
    options = ("-t", "tmpfs", "-o", "size=20m", "tmpfs")
    if not shutil.which("mount") or subprocess.run(["mount", *options, str(place)], check=False).returncode:
        pytest.skip("a full disk is not tried: no file system may be mounted here")
    shutil.chown(place, "pgserver")
    with psycopg.connect(own_postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        connection.execute("CREATE DATABASE small TABLESPACE small")
    url = make_url(own_postgres.url).set(database="small")
    settings = StorageSettings(url=SecretStr(url.render_as_string(hide_password=False)))
    engine = open_engine(settings)
    migrate.upgrade(engine)
    engine.dispose()
    yield settings
    own_postgres.stop(0)
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_ends_the_worker_at_once_and_the_next_one_stores_the_rest(
    full_soon: StorageSettings,
    pipeline: PipelineSettings,
    storage_settings: StorageSettings,
    database: Engine,
    tmp_path: Path,
    guardian: Guardian,
) -> None:
    now = datetime.now(UTC).isoformat()
    bulky = [
        json.dumps({"id": str(n), "source": "wire", "published_at": now, "text": secrets.token_hex(9_000)})
        for n in range(1_500)
    ]
    produce(pipeline, [(pipeline.news_topic, value.encode()) for value in bulky])
    full = open_engine(full_soon)
    workers = Workers(environment(pipeline, full_soon), tmp_path, guardian)
    try:
        assert workers.start(SLOW, "0").wait(90) == 1
        assert "no disk space left" in workers.log and "writing a batch" not in workers.log
        workers = Workers(environment(pipeline, storage_settings), tmp_path, guardian)
        workers.start(SLOW, "0")
        eventually(lambda: count(full) + count(database) >= 1_500, within=60, what="the rest stored elsewhere")
        assert count(full) > 0 < count(database)
    finally:
        workers.close()
        full.dispose()


def test_a_table_dropped_under_the_worker_ends_it_at_once(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    produce(pipeline, messages(pipeline.news_topic, 100))
    process = workers.start()
    eventually(lambda: count(database) == 100, within=60, what="the first hundred stored")
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE sentiment_minute RENAME TO elsewhere"))
    began = time.monotonic()
    produce(pipeline, messages(pipeline.news_topic, 100, start=100))
    assert process.wait(AT_ONCE) == 1
    assert time.monotonic() - began < AT_ONCE
    assert "newsquake db upgrade" in workers.log
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO sentiment_minute"))
    workers.start()
    eventually(lambda: count(database) == 200, within=60, what="everything stored")
    assert ids(database) == list(range(200))


def test_a_worker_is_ready_once_it_has_partitions_and_tells_its_lag(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    produce(pipeline, messages(pipeline.news_topic, 300))
    workers.start()
    eventually(lambda: '"event": "health"' in workers.log, within=60, what="the health server up")
    said = next(json.loads(line) for line in workers.log.splitlines() if '"event": "health"' in line)
    with httpx.Client(base_url=said["url"]) as client:
        assert client.get("/livez").status_code == 200
        eventually(lambda: client.get("/readyz").status_code == 200, within=60, what="the worker ready")
        eventually(lambda: count(database) == 300, within=60, what="everything stored")
        lag = f'newsquake_pipeline_lag{{partition="0",topic="{pipeline.news_topic}"}} 0.0'
        eventually(lambda: lag in client.get("/metrics").text, within=10, what="no lag")
        told = client.get("/metrics").text
    assert "newsquake_pipeline_documents_total 300.0" in told
    assert 'newsquake_models_seconds_count{stage="infer"}' in told
    assert "newsquake_pipeline_latency_seconds_count 300.0" in told
