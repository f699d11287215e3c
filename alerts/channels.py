"""Where notifications go: standard output, and one channel for each Apprise URL.

A channel is known by its label, in the outbox and in logs; the URL behind it is a secret and never leaves this module.
"""

import logging
from typing import Protocol

import apprise
import typer
from pydantic import SecretStr

from alerts.errors import ChannelFailed, InvalidChannel
from alerts.message import Message
from alerts.settings import AlertsSettings

CONSOLE = "console"


class Channel(Protocol):
    """Something that takes a message or raises `ChannelFailed`."""

    def send(self, message: Message) -> None: ...


class Console:
    """Prints to standard output, where `newsquake up` and container logs show it."""

    def send(self, message: Message) -> None:
        try:
            typer.echo(f"\n{message.title}\n{message.body}\n")
        except OSError as error:
            raise ChannelFailed(f"standard output does not take text ({error.strerror})") from error


class AppriseChannel:
    """One Apprise URL: chat, mail, SMS, webhook, …; plain text, with the service's own timeouts."""

    def __init__(self, label: str, url: SecretStr) -> None:
        self._target = apprise.Apprise()
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would log parts of URLs
        if not self._target.add(url.get_secret_value()):
            raise InvalidChannel(f"{label}: Apprise does not know this kind of URL; see its list of services")

    def send(self, message: Message) -> None:
        try:
            taken = self._target.notify(
                title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT, interpret_escapes=False
            )
        except Exception as error:  # a plug-in may raise anything, and its words may hold the URL
            raise ChannelFailed(f"Apprise failed with {type(error).__name__}") from None
        if not taken:
            raise ChannelFailed("the service did not take the message, or did not answer")


def channel_labels(settings: AlertsSettings) -> list[str]:
    """The channels that a notification is written for, in order."""
    urls = [url.get_secret_value() for url in settings.apprise_urls]
    named = [f"apprise:{number}:{_scheme(url)}" for number, url in enumerate(urls, 1)]
    return [CONSOLE, *named] if settings.console else named


def open_channels(settings: AlertsSettings) -> dict[str, Channel]:
    """The same channels, ready to send; raises `InvalidChannel`."""
    channels: dict[str, Channel] = {CONSOLE: Console()} if settings.console else {}
    labels = [label for label in channel_labels(settings) if label != CONSOLE]
    for label, url in zip(labels, settings.apprise_urls, strict=True):
        channels[label] = AppriseChannel(label, url)
    return channels


def _scheme(url: str) -> str:
    """The kind of service alone; an address without a scheme could be a secret in itself."""
    scheme, mark, _ = url.partition("://")
    return scheme.lower() if mark and scheme.isalnum() and len(scheme) <= 20 else "unknown"
