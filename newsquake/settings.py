"""Settings of the one-machine stack, read from `NEWSQUAKE_*`; each package reads its own beside them."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65535)]


class StackSettings(BaseSettings):
    """Where `newsquake up` keeps its data and which servers it starts.

    A server that is named (`pipeline_broker`, `storage_url`) is used and not started. Ports that are not set are free
    ones on 127.0.0.1.
    """

    model_config = SettingsConfigDict(env_prefix="NEWSQUAKE_", extra="ignore", env_ignore_empty=True)

    data_dir: Path = Field(default=Path(".newsquake"), description="data and logs; one stack at a time")
    kafka_home: Path | None = Field(default=None, description="an unpacked Apache Kafka; without it Tansu, in memory")
    kafka_port: Port | None = None
    kafka_controller_port: Port | None = None
    postgres_port: Port | None = None
    workers: int = Field(default=1, ge=1, le=64, description="worker processes")
    pipeline_broker: str | None = Field(default=None, description="host:port of a broker to use instead")
    storage_url: SecretStr | None = Field(default=None, description="a database to use instead")
