"""The real worker as a process of its own, on topics and a database of the test's own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from newsquake.servers.postgres import Postgres
from newsquake.stack.guardian import Guardian
from pipeline.settings import PipelineSettings
from storage.settings import StorageSettings


def environment(pipeline: PipelineSettings, storage: StorageSettings) -> dict[str, str]:
    """What a worker process needs to work with these topics and this database."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEWSQUAKE_")}
    return own | {
        "NEWSQUAKE_PIPELINE_BROKER": pipeline.broker,
        "NEWSQUAKE_PIPELINE_GROUP": pipeline.group,
        "NEWSQUAKE_PIPELINE_NEWS_TOPIC": pipeline.news_topic,
        "NEWSQUAKE_PIPELINE_COMMENTS_TOPIC": pipeline.comments_topic,
        "NEWSQUAKE_PIPELINE_DEAD_LETTER_TOPIC": pipeline.dead_letter_topic,
        "NEWSQUAKE_PIPELINE_BATCH_SIZE": "64",
        "NEWSQUAKE_STORAGE_URL": storage.url.get_secret_value(),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


class Workers:
    """Starts worker processes and ends those it started."""

    def __init__(self, env: dict[str, str], folder: Path, guardian: Guardian) -> None:
        self._env = env
        self._log = folder / "worker.log"
        self._guardian = guardian
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """A worker: the real one, or whatever `command` is (for controls)."""
        argv = [sys.executable, *(command or ("-m", "newsquake", "worker"))]
        with self._log.open("ab") as log:
            process = subprocess.Popen(argv, env=self._env, stdout=log, stderr=log, start_new_session=True)
        self._started.append(process)
        self._guardian.watch(process.pid, signal.SIGTERM)
        return process

    def set(self, name: str, value: str) -> None:
        """An environment variable of workers that are started from now on."""
        self._env[name] = value

    @property
    def log(self) -> str:
        """What all of them have logged."""
        return self._log.read_text("utf-8", "replace")

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def workers(
    pipeline: PipelineSettings, storage_settings: StorageSettings, tmp_path: Path, guardian: Guardian
) -> Iterator[Workers]:
    """Workers on the test's own topics and database."""
    started = Workers(environment(pipeline, storage_settings), tmp_path, guardian)
    yield started
    started.close()


class HeaderNoUtf8(str):
    """A header's name as bytes that are not UTF-8, which Kafka takes all the same."""

    def encode(self, *_: object) -> bytes:
        return b"\xff" + super().encode()


def produce(
    pipeline: PipelineSettings,
    values: Sequence[tuple[str, bytes | None]],
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Send (topic, value) pairs, all with these headers, and wait until Kafka has acknowledged every one."""
    producer = KafkaProducer(
        bootstrap_servers=pipeline.broker, acks="all", compression_type="lz4", linger_ms=20, max_request_size=8 << 20
    )
    sent = [producer.send(topic, key=b"wire", value=value, headers=list(headers)) for topic, value in values]
    producer.flush()
    for future in sent:
        future.get(30)
    producer.close()


def read_all(pipeline: PipelineSettings, topic: str) -> list[tuple[bytes | None, dict[str, str]]]:
    """Every record of a topic as (value, headers)."""
    consumer = KafkaConsumer(bootstrap_servers=pipeline.broker, enable_auto_commit=False, group_id=None)
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    left = sum(consumer.end_offsets(partitions).values())
    found: list[tuple[bytes | None, dict[str, str]]] = []
    deadline = time.monotonic() + 30
    while len(found) < left and time.monotonic() < deadline:
        for records in consumer.poll(500).values():
            found += [(record.value, {name: value.decode() for name, value in record.headers}) for record in records]
    consumer.close()
    return found


def count(database: Engine, table: str = "documents") -> int:
    """Rows of a table, -1 while the database does not answer."""
    try:
        with database.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
    except SQLAlchemyError:
        return -1


def eventually(holds: Callable[[], bool], *, within: float, what: str) -> None:
    """Wait until `holds()`; fail with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what}"
        time.sleep(0.1)


@pytest.fixture
def own_postgres(server_dir: Path, guardian: Guardian, topic_names: Callable[[str], str]) -> Iterator[Postgres]:
    """A PostgreSQL server that a test may kill."""
    server = Postgres(server_dir / topic_names("pg"), server_dir / "own-postgres.log", watch=guardian.watch)
    server.start()
    yield server
    server.stop(2)
