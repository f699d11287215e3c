"""Each server as its clients meet it: it answers once `start` returns, and comes back on the same address."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from newsquake.errors import PartMissing, PortTaken, ServerError
from newsquake.servers import ports
from newsquake.servers.kafka import Kafka
from newsquake.servers.postgres import Postgres
from newsquake.servers.process import LOG_LIMIT, Command, Process, bound_log, wait_ready
from newsquake.servers.tansu import Tansu
from newsquake.stack.guardian import Guardian

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(server_dir: Path, topic_names: Callable[[str], str]) -> Path:
    """A short folder of the test's own that PostgreSQL's system user can reach."""
    return server_dir / topic_names("servers")


@pytest.fixture
def kafka_home() -> Path:
    """Skips where no Apache Kafka is at hand."""
    if not (home := os.environ.get("NEWSQUAKE_KAFKA_HOME")):
        pytest.skip("NEWSQUAKE_KAFKA_HOME is not set: no Apache Kafka to test with")
    return Path(home)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


def test_postgres_keeps_its_rows_over_a_crash(folder: Path, guardian: Guardian) -> None:
    server = Postgres(folder / "postgres", folder / "postgres.log", watch=guardian.watch)
    try:
        server.start()
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        server.stop()
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT n, current_setting('TimeZone') FROM kept").fetchone() == (7, "UTC")
        assert server.healthy
    finally:
        server.stop()
    assert not server.healthy
    assert server.exit_code == 0


def test_postgres_starts_over_a_lock_file_that_names_another_program(folder: Path, guardian: Guardian) -> None:
    server = Postgres(folder / "postgres", folder / "postgres.log", watch=guardian.watch)
    try:
        server.start()
        server.stop()
        (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n0\n{server.port}\n\n127.0.0.1\n")
        server.start()
        assert server.healthy
    finally:
        server.stop()


def test_postgres_ends_an_orphan_of_a_killed_stack(folder: Path, guardian: Guardian) -> None:
    orphan = Postgres(folder / "postgres", folder / "postgres.log", watch=guardian.watch)
    server = Postgres(folder / "postgres", folder / "postgres.log", watch=guardian.watch)
    try:
        orphan.start()
        server.start()
        assert server.healthy
        assert orphan.pid is None
    finally:
        server.stop()
        orphan.stop()


def test_tansu_starts_empty_again_on_the_same_address(folder: Path, guardian: Guardian) -> None:
    server = Tansu(folder / "tansu.log", watch=guardian.watch)
    try:
        server.start()
        create(server.address, "once")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        server.stop()
        server.start()
        assert server.healthy
        assert topics(server.address) == []
    finally:
        server.stop()


def test_kafka_keeps_acknowledged_messages_over_a_crash(folder: Path, guardian: Guardian, kafka_home: Path) -> None:
    server = Kafka(kafka_home, folder / "kafka", folder / "kafka.log", watch=guardian.watch)
    try:
        server.start()
        create(server.address, "kept")
        producer = KafkaProducer(bootstrap_servers=server.address, acks="all")
        producer.send("kept", b"news").get(timeout=10)
        producer.close()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        server.stop()
        server.start()
        options = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 10_000, "group_id": None}
        consumer = KafkaConsumer("kept", bootstrap_servers=server.address, **options)
        assert next(consumer).value == b"news"
        consumer.close()
    finally:
        server.stop()
    assert server.exit_code == 143


def test_a_taken_port_is_named(folder: Path, taken_port: int) -> None:
    with pytest.raises(PortTaken, match=f"port {taken_port} .*NEWSQUAKE_POSTGRES_PORT"):
        Postgres(folder / "postgres", folder / "postgres.log", port=taken_port)
    with pytest.raises(PortTaken, match=f"port {taken_port} .*NEWSQUAKE_KAFKA_PORT"):
        Tansu(folder / "tansu.log", port=taken_port)


def test_a_free_port_is_outside_the_ephemeral_range() -> None:
    assert 20_000 <= ports.claim(None, "ANY") < 32_000


def test_a_folder_without_kafka_is_named(folder: Path) -> None:
    with pytest.raises(PartMissing, match=r"NEWSQUAKE_KAFKA_HOME=.*nowhere"):
        Kafka(Path("nowhere"), folder / "kafka", folder / "kafka.log")


def test_a_missing_java_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "home" / "libs").mkdir(parents=True)
    (folder / "home" / "libs" / "kafka_2.13-4.0.0.jar").touch()
    monkeypatch.setenv("JAVA_HOME", str(folder))
    with pytest.raises(PartMissing, match="Java 17"):
        Kafka(folder / "home", folder / "kafka", folder / "kafka.log")


def test_a_server_that_dies_at_once_shows_the_end_of_its_log(tmp_path: Path) -> None:
    process = Process("broken", tmp_path / "broken.log")
    process.spawn(Command(("sh", "-c", "echo no space left on device >&2; exit 3")))
    with pytest.raises(ServerError, match=r"exit code 3 while starting; .*no space left on device"):
        wait_ready(process, lambda: False, 5)


def test_a_server_that_never_answers_is_ended_in_time(tmp_path: Path) -> None:
    process = Process("mute", tmp_path / "mute.log")
    process.spawn(Command(("sleep", "60")))
    with pytest.raises(ServerError, match="did not answer within 0 s"):
        wait_ready(process, lambda: False, 0.2)
    assert process.pid is None


def test_a_log_of_more_than_ten_mebibytes_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_bytes(b"x" * (LOG_LIMIT + 1))
    bound_log(log)
    assert not log.exists()
    assert (tmp_path / "worker.log.1").stat().st_size > LOG_LIMIT


def create(broker: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    admin.close()


def topics(broker: str) -> list[str]:
    admin = KafkaAdminClient(bootstrap_servers=broker)
    found = sorted(admin.list_topics())
    admin.close()
    return found
