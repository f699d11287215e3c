"""A generic webhook: the notification as JSON, signed so that its receiver knows who wrote it, and when.

`Newsquake-Signature: t=SECONDS,v1=HEX`, after Stripe's scheme: HEX is HMAC-SHA256 over `SECONDS.BODY` with the shared
secret, SECONDS the Unix time of this try. `Idempotency-Key` is the same for every try of a notification.
"""

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

import msgspec
from pydantic import SecretStr

from alerts.channels.posting import Poster
from alerts.errors import InvalidChannel
from alerts.message import Message
from alerts.settings import AlertsSettings


class Webhook:
    """Posts the payload with `title`, `text` and `key`; raises `InvalidChannel` without a secret to sign with."""

    takes_pictures: ClassVar[bool] = False

    def __init__(
        self,
        label: str,
        url: SecretStr,
        settings: AlertsSettings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if settings.webhook_secret is None or not settings.webhook_secret.get_secret_value():
            raise InvalidChannel(f"{label}: set NEWSQUAKE_ALERTS_WEBHOOK_SECRET; webhooks are signed")
        self._secret, self._clock = settings.webhook_secret, clock
        self._poster = Poster(label, url, settings.channel_timeout_seconds)

    def send(self, message: Message) -> None:
        now = self._clock()
        body = document(message)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "newsquake",
            "Idempotency-Key": message.key,
            "Newsquake-Signature": sign(body, self._secret, now),
        }
        self._poster.post(body, headers, now)


def sign(body: bytes, secret: SecretStr, at: datetime) -> str:
    """The value of the header `Newsquake-Signature`."""
    seconds = int(at.timestamp())
    digest = hmac.new(secret.get_secret_value().encode(), b"%d." % seconds + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def document(message: Message) -> bytes:
    """The JSON document of a message: its payload, with the texts that people get and the idempotency key."""
    return msgspec.json.encode({**message.payload, "key": message.key, "title": message.title, "text": message.body})
