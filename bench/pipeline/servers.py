"""The servers of a run, started for it and gone with it: PostgreSQL with fsync on, and Apache Kafka or Tansu.

They live in the run's folder; a guardian ends them even when the benchmark is killed outright.
"""

import os
import re
import threading
from collections import Counter
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from kafka.admin import NewTopic
from psycopg import sql
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from bench.errors import BenchUsage
from newsquake.servers.kafka import Kafka
from newsquake.servers.postgres import Postgres
from newsquake.servers.tansu import Tansu
from newsquake.stack.guardian import Guardian
from pipeline.settings import PipelineSettings
from pipeline.topics import STREAM_BYTES, admin, create_topics
from storage import migrate
from storage.engine import open_engine
from storage.settings import StorageSettings

KAFKA_HOME = "NEWSQUAKE_KAFKA_HOME"


class Defaults(PipelineSettings):
    """Read from no environment variable that is used for anything else: what is measured are the defaults."""

    model_config = SettingsConfigDict(env_prefix="NEWSQUAKE_BENCH_PIPELINE_", extra="ignore")


class BrokerKind(StrEnum):
    """Brokers that can be started."""

    TANSU = "tansu"
    KAFKA = "kafka"


class Servers:
    """Started on entry, ended on exit."""

    def __init__(self, folder: Path, kind: BrokerKind | None = None) -> None:
        """Without a `kind` Apache Kafka where its home is named, else Tansu.

        Raises:
            BenchUsage: Apache Kafka is asked for and its home is not named.
        """
        home = os.environ.get(KAFKA_HOME)
        self.kind = kind or (BrokerKind.KAFKA if home else BrokerKind.TANSU)
        if self.kind is BrokerKind.KAFKA and not home:
            raise BenchUsage(f"--broker kafka needs {KAFKA_HOME}, an unpacked Apache Kafka")
        self.folder = folder
        self.guardian = Guardian()
        watch = self.guardian.watch
        self._postgres = Postgres(folder / "postgres", folder / "postgres.log", watch=watch)
        self._broker: Kafka | Tansu = (
            Kafka(Path(home), folder / "kafka", folder / "kafka.log", watch=watch)
            if home and self.kind is BrokerKind.KAFKA
            else Tansu(folder / "tansu.log", watch=watch)
        )
        self._home = home
        self._names: Counter[str] = Counter()
        self._one_at_a_time = threading.Lock()  # migrations keep their context in a module

    def __enter__(self) -> Self:
        try:
            self._postgres.start()
            self._broker.start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._broker.stop(2)
        self._postgres.stop(3)
        self.guardian.close()

    @property
    def pids(self) -> dict[str, int]:
        """The process of each server."""
        found = {"postgres": self._postgres.pid, "broker": self._broker.pid}
        return {name: pid for name, pid in found.items() if pid}

    def versions(self) -> dict[str, str]:
        """Of PostgreSQL, and of Apache Kafka where it runs."""
        with psycopg.connect(self._postgres.url) as connection:
            found = {"postgresql": str(connection.info.parameter_status("server_version"))}
        if self.kind is BrokerKind.KAFKA and self._home:
            named = [re.fullmatch(r"kafka-clients-(.+)\.jar", path.name) for path in Path(self._home).rglob("*.jar")]
            found["kafka"] = next((match[1] for match in named if match), "unknown")
        return found

    def database(self, name: str) -> StorageSettings:
        """A new, migrated database; one of a name that is taken gets a number behind it."""
        name = self._unused("database", name)
        with psycopg.connect(self._postgres.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = f"{self._postgres.url.rpartition('/')[0]}/{name}"
        settings = StorageSettings(url=SecretStr(url))
        engine = open_engine(settings)
        with self._one_at_a_time:
            migrate.upgrade(engine)
        engine.dispose()
        return settings

    def topics(self, name: str, *, keep_bytes: int | None = None) -> PipelineSettings:
        """New topics and a group of this name, or with a number behind it; all other settings are the defaults.

        Of a partition Apache Kafka keeps `keep_bytes` and two segments at least, and deletes the rest every 5 minutes.
        """
        name = self._unused("topics", name)
        settings = Defaults(
            broker=self._broker.address,
            group=name,
            news_topic=f"{name}.news",
            comments_topic=f"{name}.comments",
            dead_letter_topic=f"{name}.dead-letters",
        )
        if keep_bytes:
            self._bounded(settings, keep_bytes)
        create_topics(settings)
        return settings

    def _bounded(self, settings: PipelineSettings, keep_bytes: int) -> None:
        bounds = {"retention.bytes": keep_bytes, "segment.bytes": keep_bytes // 4, "max.message.bytes": STREAM_BYTES}
        configs = {name: str(size) for name, size in bounds.items()}
        client = admin(settings)
        try:
            for topic in settings.topics:
                new = NewTopic(topic, num_partitions=settings.partitions, replication_factor=1, topic_configs=configs)
                client.create_topics([new], timeout_ms=10_000)
        finally:
            client.close()

    def _unused(self, kind: str, name: str) -> str:
        with self._one_at_a_time:
            self._names[f"{kind} {name}"] += 1
            number = self._names[f"{kind} {name}"]
        return name if number == 1 else f"{name}{number}"
