"""Which servers the settings ask for: those that people name are used, the others are ours to start."""

from pathlib import Path

from newsquake.servers.kafka import Kafka
from newsquake.servers.postgres import Postgres
from newsquake.servers.process import Watch
from newsquake.servers.tansu import Tansu
from newsquake.settings import StackSettings


def choose_postgres(settings: StackSettings, data_dir: Path, watch: Watch) -> Postgres | None:
    """PostgreSQL in `data_dir`, None where a database is named. Raises `PortTaken`, `PartMissing`."""
    if settings.storage_url is not None:
        return None
    log = data_dir / "logs" / "postgres.log"
    return Postgres(data_dir / "postgres", log, port=settings.postgres_port, watch=watch)


def choose_broker(settings: StackSettings, data_dir: Path, watch: Watch) -> Kafka | Tansu | None:
    """Apache Kafka where its home is named, else Tansu; None where a broker is. Raises `PortTaken`, `PartMissing`."""
    if settings.pipeline_broker is not None:
        return None
    if settings.kafka_home is None:
        return Tansu(data_dir / "logs" / "tansu.log", port=settings.kafka_port, watch=watch)
    return Kafka(
        settings.kafka_home,
        data_dir / "kafka",
        data_dir / "logs" / "kafka.log",
        port=settings.kafka_port,
        controller_port=settings.kafka_controller_port,
        watch=watch,
    )
