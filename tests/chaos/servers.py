"""The servers that all runs share: one broker and one PostgreSQL, each behind a proxy, and a migrated template.

Nothing waits for a disk (`fsync` is off), but everything survives the death of a process: PostgreSQL hands its log to
the system before it answers a commit, and so does Kafka before it acknowledges.
"""

import os
import shutil
import tempfile
import uuid
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text

from newsquake.servers.kafka import Kafka
from newsquake.servers.ports import claim
from newsquake.servers.postgres import Postgres
from newsquake.servers.tansu import Tansu
from newsquake.stack.guardian import Guardian
from storage import migrate
from storage.engine import open_engine
from storage.settings import StorageSettings
from tests.chaos.proxy import Proxy

_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "wal_writer_delay": "10s",  # these two for commits that are confirmed before they are written: one experiment's
    "wal_writer_flush_after": "1GB",
}
_ROOM = 4 << 30


class Servers:
    """Use as a context manager. Apache Kafka where `NEWSQUAKE_KAFKA_HOME` names one, else Tansu."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        roomy = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
        self.folder = Path(tempfile.mkdtemp(prefix="newsquake-chaos-", dir=memory if roomy else None))
        self.guardian = Guardian()
        self.postgres = Postgres(
            self.folder / "postgres", self.folder / "postgres.log", options=_OPTIONS, watch=self.guardian.watch
        )
        self.database_proxy = Proxy(claim(None, "no setting"), self.postgres.port)
        front = claim(None, "no setting")
        self.broker = _broker(self.folder, f"127.0.0.1:{front}", self.guardian)
        outside = self.broker.outside_port if isinstance(self.broker, Kafka) else self.broker.port
        self.broker_proxy = Proxy(front, outside)
        self.template = f"nq_chaos_{uuid.uuid4().hex[:8]}"

    @property
    def durable(self) -> bool:
        """Whether the broker may be killed."""
        return self.broker.durable

    @property
    def direct_broker(self) -> str:
        """Where those connect who are not to be disturbed. Tansu has one address only, which is the proxy's."""
        return self.broker.address if self.durable else self.broker_proxy.address

    def __enter__(self) -> "Servers":
        self.database_proxy.start()
        self.broker_proxy.start()
        self.postgres.start()
        self.broker.start()
        self.run(f"CREATE DATABASE {self.template}")
        engine = open_engine(self.storage(self.template))
        migrate.upgrade(engine)
        engine.dispose()
        return self

    def __exit__(self, *_: object) -> None:
        self.broker_proxy.stop()
        self.database_proxy.stop()
        self.broker.stop(2)
        self.postgres.stop(2)
        self.guardian.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def heal(self) -> None:
        """Both networks in order, both servers up."""
        self.database_proxy.heal()
        self.broker_proxy.heal()
        if self.postgres.pid is None:
            self.postgres.start()
        if self.broker.pid is None:
            self.broker.start()

    def storage(self, database: str, *, proxied: bool = False) -> StorageSettings:
        """Settings that name `database`, straight or through the proxy."""
        port = int(self.database_proxy.address.rpartition(":")[2]) if proxied else self.postgres.port
        url = make_url(self.postgres.url).set(database=database, port=port)
        return StorageSettings(url=SecretStr(url.render_as_string(hide_password=False)))

    def run(self, statement: str) -> None:
        """One statement of the server's administrator."""
        url = make_url(self.postgres.url).set(drivername="postgresql+psycopg", database="postgres")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


def _broker(folder: Path, advertised: str, guardian: Guardian) -> Kafka | Tansu:
    if home := os.environ.get("NEWSQUAKE_KAFKA_HOME"):
        return Kafka(Path(home), folder / "kafka", folder / "kafka.log", advertised=advertised, watch=guardian.watch)
    return Tansu(folder / "tansu.log", advertised=advertised, watch=guardian.watch)
