"""Prometheus Alertmanager, API v2: an alert per episode and severity, which ends when the episode does.

Alertmanager resolves what is not sent again. An episode sends nothing between its changes, so every message says how
long it holds: `endsAt` lies `alertmanager_hold_hours` ahead, and the end of the episode moves it to the past.
The severity is a label, hence part of an alert's identity: whatever is sent ends the alert of the other severity.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
from pydantic import SecretStr

from alerts.channels.posting import Poster
from alerts.message import Message
from alerts.settings import AlertsSettings

_SEVERITIES = ("warning", "critical")


class Alertmanager:
    """Posts to `URL/api/v2/alerts`."""

    takes_pictures: ClassVar[bool] = False

    def __init__(
        self, url: SecretStr, settings: AlertsSettings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._hold, self._clock = timedelta(hours=settings.alertmanager_hold_hours), clock
        self._poster = Poster("alertmanager", url, settings.channel_timeout_seconds, "/api/v2/alerts")

    def send(self, message: Message) -> None:
        now = self._clock()
        body = msgspec.json.encode(postable(message, now, self._hold))
        self._poster.post(body, {"Content-Type": "application/json", "User-Agent": "newsquake"}, now)


def postable(message: Message, now: datetime, hold: timedelta) -> list[dict[str, Any]]:
    """Alertmanager's `postableAlerts`: the episode at its severity, and its end at the other."""
    payload = message.payload
    # What has ended must have begun before, also in a test message or a replay of times to come.
    starts = min(datetime.fromisoformat(payload["opened_at"]), now - timedelta(seconds=1))
    made = []
    for severity in _SEVERITIES:
        holds = severity == payload["severity"] and payload["kind"] not in ("resolved", "test")
        made.append(
            {
                "labels": {
                    "alertname": "NewsquakeNegativeSpike",
                    "alert_id": str(payload["alert_id"]),
                    "topic": payload["topic"],
                    "stream": payload["stream"],
                    "severity": severity,
                },
                "annotations": {"summary": message.title, "description": message.body},
                "startsAt": starts.isoformat(),
                "endsAt": (now + hold if holds else now).isoformat(),
            }
        )
    return made
