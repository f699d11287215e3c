"""One run's world: fresh topics, a fresh database, workers behind proxies, traffic, and the ledger that counts it."""

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from kafka.errors import KafkaError
from sqlalchemy import Engine

from pipeline.errors import PipelineError
from pipeline.settings import PipelineSettings
from pipeline.topics import admin, create_topics
from storage.engine import open_engine
from storage.settings import StorageSettings
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import Proxy
from tests.chaos.servers import Servers
from tests.chaos.traffic import Traffic

PARTITIONS = 4
COST = 0.001  # seconds a text
RETRY_SECONDS = 30  # for which a worker waits for a server; twice as long as any outage here


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be: how many workers, which fault is planted (none in earnest), and its own environment."""

    workers: int
    broken: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    traffic: dict[str, object] = field(default_factory=dict)


class World:
    """What an experiment may touch: `fleet`, `traffic`, `servers` and the two proxies."""

    def __init__(self, servers: Servers, plan: Plan, rng: Random) -> None:
        mark = uuid.uuid4().hex[:8]
        self.servers = servers
        self.plan = plan
        self.folder = servers.folder / f"run-{mark}"
        self.folder.mkdir()
        self.unsaid = ""  # what should be in the workers' log and is not
        self.direct = _pipeline(servers.direct_broker, mark)
        create_topics(self.direct)
        self._name = f"nq_run_{mark}"
        servers.run(f"CREATE DATABASE {self._name} TEMPLATE {servers.template} STRATEGY wal_log")
        self.database: Engine = open_engine(servers.storage(self._name), application="ledger")
        self.traffic = Traffic(servers.direct_broker, list(self.direct.topics), rng, **plan.traffic)  # type: ignore[arg-type]
        self.ledger = Ledger(self.direct, self.database, self.traffic)
        pipeline = _pipeline(servers.broker_proxy.address, mark)
        env = _environment(pipeline, servers.storage(self._name, proxied=True)) | plan.environment
        argv = ("-m", "tests.chaos.worker", str(COST), *(("--broken", plan.broken) if plan.broken else ()))
        self.fleet = Fleet(argv, env, self.folder / "worker.log", servers.guardian)

    @property
    def broker_proxy(self) -> Proxy:
        return self.servers.broker_proxy

    @property
    def database_proxy(self) -> Proxy:
        return self.servers.database_proxy

    @property
    def database_name(self) -> str:
        return self._name

    def close(self) -> None:
        """End the workers and remove what the run has made in the servers."""
        self.fleet.close()
        self.servers.heal()
        self.ledger.close()
        self.traffic.close()
        self.database.dispose()
        self.servers.run(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")
        with suppress(KafkaError, PipelineError):
            client = admin(self.direct)
            client.delete_topics([*self.direct.topics, self.direct.dead_letter_topic])
            client.close()


def _pipeline(broker: str, mark: str) -> PipelineSettings:
    return PipelineSettings(
        broker=broker,
        group=f"chaos-{mark}",
        news_topic=f"chaos-{mark}.news",
        comments_topic=f"chaos-{mark}.comments",
        dead_letter_topic=f"chaos-{mark}.dead-letters",
        partitions=PARTITIONS,
        retry_for=RETRY_SECONDS,
    )


def _environment(pipeline: PipelineSettings, storage: StorageSettings) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEWSQUAKE_")}
    return own | {
        "NEWSQUAKE_PIPELINE_BROKER": pipeline.broker,
        "NEWSQUAKE_PIPELINE_GROUP": pipeline.group,
        "NEWSQUAKE_PIPELINE_NEWS_TOPIC": pipeline.news_topic,
        "NEWSQUAKE_PIPELINE_COMMENTS_TOPIC": pipeline.comments_topic,
        "NEWSQUAKE_PIPELINE_DEAD_LETTER_TOPIC": pipeline.dead_letter_topic,
        "NEWSQUAKE_PIPELINE_PARTITIONS": str(pipeline.partitions),
        "NEWSQUAKE_PIPELINE_RETRY_FOR": str(pipeline.retry_for),
        "NEWSQUAKE_PIPELINE_BATCH_SIZE": "128",
        "NEWSQUAKE_STORAGE_URL": storage.url.get_secret_value(),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
