"""Apprise URLs: chat, mail, SMS, …

Apprise knows each service's markup and limits: the text is handed over as plain text, which it escapes where a service
reads markup, and what is longer than a service takes is split into several posts instead of being cut. Three things it
leaves to us: texts of strangers must call nobody in plain text either, nor hide an address behind words where a service
takes plain text for Markdown (Discord, Mattermost, Zulip); and Teams joins lines that no empty line stands between.
"""

import logging
import re

import apprise
from apprise.attachment.memory import AttachMemory
from pydantic import SecretStr

from alerts.errors import ChannelFailed, InvalidChannel
from alerts.message import Message

_ACTS = re.compile(
    r"<(?=/?at\b|[@#!])|@(?=(?:everyone|here|channel|all)\b)|(?<![\w/])@(?=[\w*])|\](?=[(\[])", re.IGNORECASE
)
_JOINER = "\u2060"  # takes no room, and makes a word of the sign and what follows
_JOINS_LINES = ("workflow", "workflows")


class AppriseChannel:
    """One Apprise URL; plain text, with the service's own timeouts, and the picture where the service takes any."""

    def __init__(self, label: str, url: SecretStr) -> None:
        self._target = apprise.Apprise()
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would log parts of URLs
        if not self._target.add(url.get_secret_value()):
            raise InvalidChannel(f"{label}: Apprise does not know this kind of URL; see its list of services")
        self._line_end = "\n\n" if scheme(url.get_secret_value()) in _JOINS_LINES else "\n"
        for plugin in self._target:
            plugin.overflow_mode = apprise.OverflowMode.SPLIT

    @property
    def takes_pictures(self) -> bool:
        return all(plugin.attachment_support for plugin in self._target)

    def send(self, message: Message) -> None:
        try:
            taken = self._target.notify(
                title=_disarmed(message.title),
                body=_disarmed(message.body).replace("\n", self._line_end),
                body_format=apprise.NotifyFormat.TEXT,
                interpret_escapes=False,
                attach=self._pictures(message),
            )
        except Exception as error:  # a plug-in may raise anything, and its words may hold the URL
            raise ChannelFailed(f"Apprise failed with {type(error).__name__}") from None
        if not taken:
            raise ChannelFailed("the service did not take the message, or did not answer")

    def _pictures(self, message: Message) -> list[AttachMemory] | None:
        if message.image is None or not self.takes_pictures:
            return None
        return [AttachMemory(content=message.image, name="newsquake.png", mimetype="image/png")]


def _disarmed(text: str) -> str:
    """Without what services take for a call to people or to everyone, or for a link behind other words."""
    return _ACTS.sub(rf"\g<0>{_JOINER}", text)


def scheme(url: str) -> str:
    """The kind of service alone; an address without a scheme could be a secret in itself."""
    kind, mark, _ = url.partition("://")
    return kind.lower() if mark and kind.isalnum() and len(kind) <= 20 else "unknown"
