"""Prometheus Alertmanager, API v2: an alert per episode and severity, which ends when the episode does.

Alertmanager resolves what is not sent again. An episode sends nothing between its changes, so every message says how
long it holds: `endsAt` lies `alertmanager_hold_hours` ahead, and the end of the episode moves it to the past.
Labels are an alert's identity, so that whatever is sent ends the alert of the other severity, and that of the series
which opened the episode, where another one leads it by now.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
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
    """Alertmanager's `postableAlerts`: the episode as it is, and the end of what else it may have been told as."""
    payload = message.payload
    # What has ended must have begun before, also in a test message or a replay of times to come.
    starts = min(datetime.fromisoformat(payload["opened_at"]), now - timedelta(seconds=1))
    leading = {name: payload[name] for name in ("topic", "stream")}
    opening = payload.get("opening") or leading
    made = []
    for series, severity in product([leading, *([opening] if opening != leading else [])], _SEVERITIES):
        now_so = series == leading and severity == payload["severity"]
        holds = now_so and payload["kind"] not in ("resolved", "test")
        made.append(
            {
                "labels": {
                    "alertname": "NewsquakeNegativeSpike",
                    "alert_id": str(payload["alert_id"]),
                    **series,
                    "severity": severity,
                },
                "annotations": {"summary": message.title, "description": message.body},
                "startsAt": starts.isoformat(),
                "endsAt": (now + hold if holds else now).isoformat(),
            }
        )
    return made
