"""Signed webhooks, against a server that fails, hangs, asks for patience and hangs up."""

import hashlib
import hmac
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from alerts.channels import channel_labels, open_channels
from alerts.channels.posting import retry_after
from alerts.channels.webhook import Webhook
from alerts.errors import ChannelFailed, InvalidChannel
from alerts.settings import AlertsSettings
from tests.alerts.receivers import Receiver, message, receiving

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SETTINGS = AlertsSettings(webhook_secret=SecretStr("s3cret"), channel_timeout_seconds=0.3)


def webhook(receiver: Receiver) -> Webhook:
    return Webhook("webhook:1", SecretStr(f"{receiver.url}/token-of-mine"), SETTINGS, clock=lambda: NOW)


def failure(receiver: Receiver) -> ChannelFailed:
    with pytest.raises(ChannelFailed) as caught:
        webhook(receiver).send(message())
    assert "token" not in str(caught.value)
    assert "s3cret" not in str(caught.value)
    return caught.value


def test_a_receiver_can_check_who_wrote_and_when() -> None:
    with receiving() as receiver:
        webhook(receiver).send(message())
    [(path, headers, body)] = receiver.got
    stamp, _, signature = headers["newsquake-signature"].partition(",v1=")
    seconds = stamp.removeprefix("t=")
    assert int(seconds) == NOW.timestamp()
    assert signature == hmac.new(b"s3cret", f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    assert (path, headers["idempotency-key"]) == ("/token-of-mine", "key-1")
    assert json.loads(body) == {**message().payload, "key": "key-1", "title": "Newsquake: spike", "text": "nine of ten"}


@pytest.mark.parametrize("status", [500, 502, 408, 429, 0, -1])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with receiving((status, {})) as receiver:
        assert not failure(receiver).final


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 422])
def test_what_will_not_pass_is_final(status: int) -> None:
    with receiving((status, {"Location": "/elsewhere"})) as receiver:
        assert failure(receiver).final
    assert len(receiver.got) == 1  # no redirect followed


def test_nobody_listening_is_tried_again() -> None:
    with receiving() as receiver:
        pass
    assert not failure(receiver).final


@pytest.mark.parametrize("status", [429, 503])
def test_patience_asked_for_is_granted(status: int) -> None:
    with receiving((status, {"Retry-After": "90"})) as receiver:
        assert failure(receiver).retry_after == timedelta(seconds=90)


def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most() -> None:
    assert retry_after("Mon, 02 Mar 2026 09:02:00 GMT", NOW) == timedelta(minutes=2)
    assert retry_after("Mon, 02 Mar 2026 08:00:00 GMT", NOW) == timedelta(0)
    assert retry_after("9" * 400, NOW) == timedelta(hours=1)
    assert retry_after("soon", NOW) is None
    assert retry_after(None, NOW) is None


def test_addresses_and_secrets_stay_out_of_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with receiving() as receiver:
        webhook(receiver).send(message())
    assert "token-of-mine" not in caplog.text


def test_mistakes_in_the_settings_name_the_channel_and_hide_the_address() -> None:
    with pytest.raises(InvalidChannel, match="webhook:1: set NEWSQUAKE_ALERTS_WEBHOOK_SECRET"):
        open_channels(AlertsSettings(webhook_urls=[SecretStr("http://localhost")]))
    for address in ("ftp://hidden", "hidden", "http://", "http://hidden:port"):
        with pytest.raises(InvalidChannel, match="webhook:1: not an http") as caught:
            Webhook("webhook:1", SecretStr(address), SETTINGS)
        assert "hidden" not in str(caught.value)


def test_rules_can_name_every_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "WEBHOOK_URLS": "http://a http://b",
        "WEBHOOK_SECRET": "s",
        "ALERTMANAGER_URL": "http://c",
        "KAFKA_SERVERS": "localhost:9",
        "APPRISE_URLS": "json://localhost",
    }.items():
        monkeypatch.setenv(f"NEWSQUAKE_ALERTS_{name}", value)
    labels = ["console", "apprise:1:json", "webhook:1", "webhook:2", "alertmanager", "kafka"]
    assert channel_labels(AlertsSettings()) == labels
    assert list(open_channels(AlertsSettings())) == labels
