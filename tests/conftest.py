"""Real servers for the tests: one PostgreSQL and one broker a session, a fresh database and fresh topics a test.

`NEWSQUAKE_STORAGE_URL` and `NEWSQUAKE_PIPELINE_BROKER` name servers to use instead; `NEWSQUAKE_TEST_BROKER=kafka`
with `NEWSQUAKE_KAFKA_HOME` puts Apache Kafka in Tansu's place. A guardian ends the servers however the session ends.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, make_url, text

from newsquake.servers.kafka import Kafka
from newsquake.servers.postgres import Postgres
from newsquake.servers.tansu import Tansu
from newsquake.stack.guardian import Guardian
from pipeline.settings import PipelineSettings
from pipeline.topics import create_topics
from storage import migrate
from storage.engine import open_engine
from storage.settings import StorageSettings

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60"}


_LONGEST_FIRST = ("integration", "newsquake", "models")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs a real server is an integration test. What takes longest begins first: a file is one process's."""
    rank = {folder: number for number, folder in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(rank)))
    for item in items:
        if {"postgres_url", "broker"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def server_dir() -> Iterator[Path]:
    """A short path of its own: pytest's folders are closed to the system user that PostgreSQL runs as.

    In memory where there is room: a database is a thousand small files, slow to make and to remove on some disks.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
    folder = Path(tempfile.mkdtemp(prefix="newsquake-", dir=memory if roomy else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def guardian() -> Iterator[Guardian]:
    """Ends the servers, even when pytest itself is killed."""
    guardian = Guardian()
    yield guardian
    guardian.close()


@pytest.fixture(scope="session")
def postgres_url(server_dir: Path, guardian: Guardian) -> Iterator[str]:
    """The URL of a PostgreSQL server whose user may create databases."""
    if given := os.environ.get("NEWSQUAKE_STORAGE_URL"):
        yield given
        return
    server = Postgres(server_dir / "postgres", server_dir / "postgres.log", options=_FAST, watch=guardian.watch)
    try:
        server.start()
        yield server.url
    finally:
        server.stop(2)


@pytest.fixture(scope="session")
def broker(server_dir: Path, guardian: Guardian) -> Iterator[str]:
    """`host:port` of a Kafka broker."""
    if given := os.environ.get("NEWSQUAKE_PIPELINE_BROKER"):
        yield given
        return
    server = _broker(server_dir, guardian)
    try:
        server.start()
        yield server.address
    finally:
        server.stop(2)


def _broker(folder: Path, guardian: Guardian) -> Kafka | Tansu:
    if os.environ.get("NEWSQUAKE_TEST_BROKER", "tansu") != "kafka":
        return Tansu(folder / "tansu.log", watch=guardian.watch)
    home = os.environ.get("NEWSQUAKE_KAFKA_HOME")
    if not home:
        pytest.skip("NEWSQUAKE_TEST_BROKER=kafka needs NEWSQUAKE_KAFKA_HOME, an unpacked Apache Kafka")
    return Kafka(Path(home), folder / "kafka", folder / "kafka.log", watch=guardian.watch)


@pytest.fixture(scope="session")
def admin(postgres_url: str) -> Iterator[Engine]:
    """Creates and drops databases: connected to `postgres`, each statement on its own."""
    url = make_url(postgres_url).set(drivername="postgresql+psycopg", database="postgres")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def template(admin: Engine, postgres_url: str) -> Iterator[str]:
    """The name of a migrated, empty database to copy."""
    name = f"nq_template_{uuid.uuid4().hex[:8]}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = open_engine(_settings(postgres_url, name))
    migrate.upgrade(engine)
    engine.dispose()
    yield name
    _drop(admin, name)


@pytest.fixture
def storage_settings(admin: Engine, postgres_url: str, template: str) -> Iterator[StorageSettings]:
    """Settings that name a fresh, migrated database; it is dropped after the test."""
    name = f"nq_test_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log"))
    yield _settings(postgres_url, name)
    _drop(admin, name)


@pytest.fixture
def database(storage_settings: StorageSettings) -> Iterator[Engine]:
    """An engine on the test's own database."""
    engine = open_engine(storage_settings)
    yield engine
    engine.dispose()


@pytest.fixture
def topic_names() -> Callable[[str], str]:
    """Topic names of the test's own: `topic_names("news")` is the same name each time within one test."""
    mark = uuid.uuid4().hex[:8]
    return lambda stream: f"test-{mark}.{stream}"


@pytest.fixture
def pipeline(broker: str, topic_names: Callable[[str], str]) -> PipelineSettings:
    """Settings with fresh topics and a consumer group of the test's own."""
    settings = PipelineSettings(
        broker=broker,
        group=topic_names("group"),
        news_topic=topic_names("news"),
        comments_topic=topic_names("comments"),
        dead_letter_topic=topic_names("dead-letters"),
        partitions=2,
    )
    create_topics(settings)
    return settings


def _settings(url: str, database: str) -> StorageSettings:
    own = make_url(url).set(database=database)
    return StorageSettings(url=SecretStr(own.render_as_string(hide_password=False)))


def _drop(admin: Engine, name: str) -> None:
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
