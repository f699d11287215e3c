"""Settings of the alerts layer, read from `NEWSQUAKE_ALERTS_*`.

Those who only want alerts need two of them: `apprise_urls` says where they go, `min_negative` how small a spike may be.
"""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LONGEST_WINDOW = 240
_LONGEST_SLOW_WINDOW = 168


class AlertsSettings(BaseSettings):
    """When negative sentiment counts as a spike, how an episode lives, and who is told.

    Minutes are minutes of event time (`published_at`) except in `max_age_minutes`, which compares event with wall time.
    """

    model_config = SettingsConfigDict(env_prefix="NEWSQUAKE_ALERTS_", extra="ignore", env_ignore_empty=True)

    tick_seconds: float = Field(default=10, gt=0, le=3600, description="wall seconds between evaluations")
    max_lateness_seconds: int = Field(default=120, ge=0, description="how late a message may come and still count")
    silent_workers_seconds: int = Field(
        default=300, ge=10, description="without a worker's report for so long, the log warns that evaluation waits"
    )
    max_age_minutes: int = Field(default=60, ge=1, description="older minutes are recorded but not sent")
    replay: bool = Field(default=False, description="history is being replayed: send whatever its age")
    chunk_minutes: int = Field(default=1440, ge=1, le=10_080, description="minutes evaluated in one transaction")

    rules: Path | None = Field(default=None, description="a TOML file of rules; read when the scheduler starts")
    topics: Annotated[tuple[str, ...], NoDecode] = Field(default=(), description="watch only these, one by one")
    streams: Annotated[tuple[str, ...], NoDecode] = Field(default=(), description="watch only these: news, comment")
    windows: Annotated[tuple[int, ...], NoDecode] = Field(default=(5, 15, 60), description="window lengths, minutes")
    min_negative: int = Field(default=8, ge=2, description="negatives in a window, below which nothing fires")
    min_sources: int = Field(default=3, ge=1, description="distinct sources among those negatives")
    min_documents: int = Field(default=5, ge=1, description="distinct texts among them; near-copies are one")
    false_alarm_rate: float = Field(
        default=1e-5, gt=0, le=0.05, description="false discovery level of one minute's tests over all series"
    )
    effect_size: float = Field(default=2.0, ge=1, description="least ratio of seen to expected (share: of odds)")
    slow_windows: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(3, 24, 72), description="window lengths of the slow-burn tests, hours; judged at each full hour"
    )
    slow_alarms_per_month: float = Field(
        default=1.25, gt=0, le=100, description="false alarms that the slow-burn tests may raise in a month, all series"
    )
    slow_effect_size: float = Field(default=1.75, ge=1, description="least ratio of seen to expected in a slow burn")
    history_days: int = Field(default=28, ge=1, le=90, description="how far the baseline looks back")
    min_history_hours: int = Field(default=6, ge=1, description="hours with messages before volume alone may fire")

    critical_negative: int = Field(default=30, ge=2, description="negatives from which an episode is critical")
    critical_p_value: float = Field(default=1e-12, gt=0, le=0.05, description="and the p-value it needs for that")
    resolve_after_minutes: int = Field(default=45, ge=1, description="calm minutes that end an episode")
    cooldown_minutes: int = Field(default=120, ge=0, description="after it, minutes in which its topics stay quiet")
    notify_resolved: bool = Field(default=True, description="tell when an episode has ended")

    console: bool = Field(default=True, description="print notifications to standard output")
    apprise_urls: Annotated[list[SecretStr], NoDecode] = Field(
        default_factory=list, description="where notifications go; a JSON list, or separated by commas or spaces"
    )
    webhook_urls: Annotated[list[SecretStr], NoDecode] = Field(
        default_factory=list, description="signed webhooks; a JSON list, or separated by commas or spaces"
    )
    webhook_secret: SecretStr | None = Field(default=None, description="with which webhooks are signed")
    alertmanager_url: SecretStr | None = Field(default=None, description="Prometheus Alertmanager, without /api")
    alertmanager_hold_hours: float = Field(
        default=24, gt=0, le=720, description="how long Alertmanager shows what it hears no more of"
    )
    kafka_servers: str = Field(default="", description="host:port of Kafka brokers that get notifications, by commas")
    kafka_topic: str = Field(default="newsquake.alerts", description="the topic; created where it is missing")
    kafka_security_protocol: str = Field(default="PLAINTEXT", pattern="^(SASL_)?(PLAINTEXT|SSL)$")
    kafka_ssl_cafile: str | None = Field(default=None, description="certificate authority of the brokers, a PEM file")
    kafka_sasl_mechanism: str = Field(default="PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    charts: bool = Field(default=True, description="draw a chart for channels that take pictures")
    channel_timeout_seconds: float = Field(
        default=8, gt=0, le=10, description="how long a webhook, Alertmanager or Kafka may take"
    )
    delivery_attempts: int = Field(
        default=30, ge=1, description="tries before a notification counts as failed: half a day of them"
    )
    delivery_batch: int = Field(default=20, ge=1, description="notifications handed over in one tick")

    def watches(self, topic: str, stream: str) -> bool:
        """Whether a series is among those to be watched; `*` is all topics, or both streams, together."""
        return (not self.topics or topic in self.topics) and (not self.streams or stream in self.streams)

    def kafka_options(self) -> dict[str, Any]:
        """Connection options for kafka-python's clients."""
        password = self.kafka_sasl_password
        options: dict[str, Any] = {
            "bootstrap_servers": self.kafka_servers.split(","),
            "security_protocol": self.kafka_security_protocol,
        }
        if self.kafka_ssl_cafile:
            options["ssl_cafile"] = self.kafka_ssl_cafile
        if self.kafka_security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_sasl_username
            options["sasl_plain_password"] = password.get_secret_value() if password else None
        return options

    @field_validator("apprise_urls", "webhook_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: Any) -> Any:
        return _parts(value) if isinstance(value, str) else value

    @field_validator("windows", "slow_windows", "topics", "streams", mode="before")
    @classmethod
    def _split_words(cls, value: Any) -> Any:
        return _parts(value) if isinstance(value, str) else value

    @field_validator("windows")
    @classmethod
    def _check_windows(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1 or max(value) > LONGEST_WINDOW:
            raise ValueError(f"windows are 1 to {LONGEST_WINDOW} minutes long, and there is at least one")
        return tuple(sorted(set(value)))

    @field_validator("slow_windows")
    @classmethod
    def _check_slow_windows(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1 or max(value) > _LONGEST_SLOW_WINDOW:
            raise ValueError(f"slow windows are 1 to {_LONGEST_SLOW_WINDOW} hours long, and there is at least one")
        return tuple(sorted(set(value)))


def _parts(value: str) -> list[Any]:
    if value.lstrip().startswith("["):
        found = json.loads(value)
        return list(found)
    return value.replace(",", " ").split()
