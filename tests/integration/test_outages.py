"""The database or the broker goes away under a real worker, comes back, and nothing is missing."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer
from pydantic import SecretStr
from sqlalchemy import Engine, text

from newsquake.servers.kafka import Kafka
from newsquake.servers.postgres import Postgres
from newsquake.stack.guardian import Guardian
from pipeline.settings import PipelineSettings
from pipeline.topics import create_topics
from storage import migrate
from storage.engine import open_engine
from storage.progress import backlog
from storage.settings import StorageSettings
from tests.integration.conftest import Workers, count, environment, eventually, produce
from tests.integration.test_delivery import ids, messages
from tests.storage.rows import recount, rollups

OUTAGE = 10.0  # seconds


def test_the_worker_waits_while_the_database_is_gone_and_then_goes_on(
    own_postgres: Postgres, pipeline: PipelineSettings, tmp_path: Path, guardian: Guardian
) -> None:
    storage = StorageSettings(url=SecretStr(own_postgres.url))
    database = open_engine(storage)
    migrate.upgrade(database)
    workers = Workers(environment(pipeline, storage), tmp_path, guardian)
    try:
        produce(pipeline, messages(pipeline.news_topic, 2_000))
        process = workers.start()
        eventually(lambda: count(database) > 200, within=90, what="work under way")
        assert own_postgres.pid is not None
        os.kill(own_postgres.pid, signal.SIGQUIT)
        eventually(lambda: own_postgres.pid is None, within=10, what="the database gone")
        assert count(database) < 0
        produce(pipeline, messages(pipeline.comments_topic, 1_000, start=2_000))
        time.sleep(OUTAGE)
        own_postgres.start()
        eventually(lambda: count(database) >= 3_000, within=90, what="everything stored")
        assert process.poll() is None, "the worker waits; it need not be restarted"
        assert "retrying" in workers.log
        assert ids(database) == list(range(3_000))
        assert rollups(database) == recount(database)
    finally:
        workers.close()
        database.dispose()


def test_a_database_that_hangs_ends_the_worker_with_its_stacks(
    own_postgres: Postgres, pipeline: PipelineSettings, tmp_path: Path, guardian: Guardian
) -> None:
    """Frozen, its connections stay open and nothing fails: only the bound ends the wait."""
    storage = StorageSettings(url=SecretStr(own_postgres.url))
    database = open_engine(storage)
    migrate.upgrade(database)
    workers = Workers(environment(pipeline, storage), tmp_path, guardian)
    workers.set("NEWSQUAKE_PIPELINE_STUCK_AFTER", "6")
    frozen: list[int] = []
    try:
        produce(pipeline, messages(pipeline.news_topic, 3_000))
        process = workers.start()
        eventually(lambda: count(database) > 200, within=90, what="work under way")
        assert own_postgres.pid is not None
        with database.connect() as connection:
            frozen = [own_postgres.pid, *connection.execute(text("SELECT pid FROM pg_stat_activity")).scalars()]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: process.poll() is not None, within=60, what="the end of the worker")
        assert process.returncode == 1
        assert "Stuck" in workers.log and "in run_worker" in workers.log, "why it ended, and where it stood"
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        frozen = []
        workers.start()
        eventually(lambda: count(database) >= 3_000, within=90, what="everything stored")
        assert ids(database) == list(range(3_000))
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        workers.close()
        database.dispose()


@pytest.fixture
def own_kafka(server_dir: Path, guardian: Guardian, topic_names: Callable[[str], str]) -> Iterator[Kafka]:
    """An Apache Kafka that a test may kill; messages survive that."""
    home = os.environ.get("NEWSQUAKE_KAFKA_HOME")
    if not home:
        pytest.skip("NEWSQUAKE_KAFKA_HOME is not set: the crash of a durable broker is not tried")
    folder = server_dir / topic_names("kafka")
    server = Kafka(Path(home), folder, server_dir / "own-kafka.log", watch=guardian.watch)
    server.start()
    yield server
    server.stop(3)


def test_nothing_is_lost_when_the_broker_and_the_worker_are_killed(
    own_kafka: Kafka,
    storage_settings: StorageSettings,
    database: Engine,
    tmp_path: Path,
    guardian: Guardian,
) -> None:
    pipeline = PipelineSettings(broker=own_kafka.address, partitions=2)
    create_topics(pipeline)
    workers = Workers(environment(pipeline, storage_settings), tmp_path, guardian)
    total = 6_000
    try:
        produce(pipeline, messages(pipeline.news_topic, total))
        for share in (0.1, 0.4):
            process = workers.start()
            eventually(lambda share=share: count(database) >= total * share, within=90, what=f"{share:.0%} stored")
            process.send_signal(signal.SIGKILL)
        process = workers.start()
        eventually(lambda: count(database) >= total * 0.6, within=90, what="60 % stored")
        own_kafka.kill()
        eventually(lambda: own_kafka.pid is None, within=10, what="the broker gone")
        time.sleep(3)
        own_kafka.start()
        produce(pipeline, messages(pipeline.comments_topic, 500, start=total))
        eventually(lambda: count(database) >= total + 500, within=120, what="everything stored")
        assert ids(database) == list(range(total + 500))
        assert rollups(database) == recount(database)
    finally:
        workers.close()


def test_transaction_markers_at_the_end_are_not_taken_for_a_backlog(
    own_kafka: Kafka, storage_settings: StorageSettings, database: Engine, tmp_path: Path, guardian: Guardian
) -> None:
    pipeline = PipelineSettings(broker=own_kafka.address, partitions=1)
    create_topics(pipeline)
    workers = Workers(environment(pipeline, storage_settings), tmp_path, guardian)
    producer = KafkaProducer(bootstrap_servers=own_kafka.address, transactional_id="test")
    producer.init_transactions()
    for half in (0, 50):
        producer.begin_transaction()
        for topic, value in messages(pipeline.news_topic, 50, start=half):
            producer.send(topic, key=b"wire", value=value)
        producer.commit_transaction()
    producer.close()

    def behind() -> int:
        with database.connect() as connection:
            return backlog(connection)

    try:
        workers.start()
        eventually(lambda: count(database) == 100, within=90, what="everything stored")
        assert behind() > 0, "the last marker is an offset behind the last message"
        eventually(lambda: behind() == 0, within=30, what="no backlog")
    finally:
        workers.close()
