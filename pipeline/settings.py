"""Settings of the pipeline, read from `NEWSQUAKE_PIPELINE_*`."""

import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Topic = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Stream = Literal["news", "comment"]
_ADDRESS = re.compile(r"^(\[[0-9A-Fa-f:]+\]|[^\s:/,]+):(\d{1,5})$")


class PipelineSettings(BaseSettings):
    """Which broker, which topics, how large a micro-batch and how long to try."""

    model_config = SettingsConfigDict(env_prefix="NEWSQUAKE_PIPELINE_", env_parse_none_str="none", extra="ignore")

    broker: str = Field(default="127.0.0.1:9092", description="host:port, several separated by commas")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: str | None = None

    group: str = Field(default="newsquake", min_length=1, description="consumer group of all workers")
    news_topic: Topic = "newsquake.news"
    comments_topic: Topic = "newsquake.comments"
    dead_letter_topic: Topic = "newsquake.dead-letters"
    partitions: int = Field(default=4, ge=1, le=1000)
    replication: int = Field(default=1, ge=1, le=10)

    batch_size: int = Field(default=512, ge=1, le=10_000, description="messages in a micro-batch at most")
    token_budget: int = Field(
        default=8192,
        ge=256,
        le=1 << 20,
        description="tokens in a micro-batch at most; a message counts for 256 at most",
    )
    max_wait: float = Field(default=0.03, gt=0, le=10, description="seconds that a message waits for company")
    retry_for: float = Field(
        default=300, gt=0, description="seconds to retry a fault that passes, before the worker exits"
    )
    stuck_after: float | None = Field(
        default=None, gt=0, description="seconds without progress before the worker exits; a minute beyond retry_for"
    )
    dead_letter_ratio: float | None = Field(
        default=0.5, gt=0, le=1, description="share of invalid messages at which the worker stops; none: never"
    )
    dead_letter_run: int | None = Field(
        default=1000, ge=1, description="invalid messages in a row at which the worker stops; none: never"
    )

    health_host: str = Field(default="127.0.0.1", description="where /livez, /readyz and /metrics listen")
    health_port: int = Field(default=0, ge=0, le=65535, description="0: any free one, said in the log")

    @field_validator("broker")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for address in value.split(","):
            match = _ADDRESS.match(address.strip())
            if not match or not 0 < int(match[2]) < 65536:
                raise ValueError(f"{address.strip()!r} is not host:port")
        return ",".join(address.strip() for address in value.split(","))

    @property
    def topics(self) -> dict[str, Stream]:
        """Kafka topic → stream."""
        return {self.news_topic: "news", self.comments_topic: "comment"}

    @property
    def patience(self) -> float:
        """Seconds without progress after which a worker takes itself for stuck."""
        return self.stuck_after or self.retry_for + 60

    def topic(self, stream: Stream) -> str:
        """The Kafka topic that carries `stream`."""
        return self.news_topic if stream == "news" else self.comments_topic

    def client_options(self) -> dict[str, object]:
        """Connection options for kafka-python's clients."""
        options: dict[str, object] = {
            "bootstrap_servers": self.broker.split(","),
            "security_protocol": self.security_protocol,
        }
        if self.ssl_cafile:
            options["ssl_cafile"] = self.ssl_cafile
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.get_secret_value() if self.sasl_password else None
        return options
