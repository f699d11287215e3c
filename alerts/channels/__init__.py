"""Where notifications go: standard output, Apprise URLs, signed webhooks, Alertmanager, a Kafka topic; one module each.

A channel is known by its label, in rules, in the outbox and in logs; the address behind it is a secret and never leaves
its module.
"""

from collections.abc import Callable
from functools import partial

from alerts.channels.alertmanager import Alertmanager
from alerts.channels.apprise_url import AppriseChannel, scheme
from alerts.channels.console import Console
from alerts.channels.contract import Channel
from alerts.channels.webhook import Webhook
from alerts.settings import AlertsSettings

__all__ = ["CONSOLE", "AppriseChannel", "Channel", "channel_labels", "open_channels"]

CONSOLE = "console"


def channel_labels(settings: AlertsSettings) -> list[str]:
    """The channels that a notification is written for, and that rules may name, in order."""
    return list(_openers(settings))


def open_channels(settings: AlertsSettings) -> dict[str, Channel]:
    """The same channels, ready to send; raises `InvalidChannel`. None of them connects before its first message."""
    return {label: opener() for label, opener in _openers(settings).items()}


def _openers(settings: AlertsSettings) -> dict[str, Callable[[], Channel]]:
    openers: dict[str, Callable[[], Channel]] = {CONSOLE: Console} if settings.console else {}
    for number, url in enumerate(settings.apprise_urls, 1):
        label = f"apprise:{number}:{scheme(url.get_secret_value())}"
        openers[label] = partial(AppriseChannel, label, url)
    for number, url in enumerate(settings.webhook_urls, 1):
        label = f"webhook:{number}"
        openers[label] = partial(Webhook, label, url, settings)
    if settings.alertmanager_url is not None:
        openers["alertmanager"] = partial(Alertmanager, settings.alertmanager_url, settings)
    if settings.kafka_servers:
        from alerts.channels.kafka_topic import KafkaTopic  # loads a Kafka client, which few channels need

        openers["kafka"] = partial(KafkaTopic, settings)
    return openers
