"""A message to see whether a channel works: it goes the way of an alert's, and says that it is a test."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from alerts.channels import Channel
from alerts.errors import ChannelFailed
from alerts.message import Message
from alerts.payload import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a channel took the test message; `error` says why not."""

    channel: str
    taken: bool
    error: str | None = None


def try_out(channels: Mapping[str, Channel], now: datetime) -> Iterator[Trial]:
    """Send a test message to each channel, in order."""
    for label, channel in channels.items():
        try:
            channel.send(trial_message(label, now))
        except ChannelFailed as failure:
            yield Trial(label, taken=False, error=str(failure))
        else:
            yield Trial(label, taken=True)


def trial_message(label: str, now: datetime) -> Message:
    """Of kind `test`, about no alert: Alertmanager gets it as one that is over."""
    at = now.isoformat()
    payload = {"schema_version": SCHEMA_VERSION, "alert_id": 0, "event_id": 0, "kind": "test", "at": at}
    payload |= {"topic": "*", "stream": "*", "topics": ["*"], "streams": ["*"], "severity": "warning"}
    payload |= {"opened_at": at, "last_seen_at": at}
    body = f"A test of the channel {label}, sent by `newsquake alerts channels --test`. Nothing has happened."
    return Message("Newsquake: test message", body, str(uuid4()), payload)
