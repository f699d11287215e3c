"""What every channel is."""

from typing import Protocol

from alerts.message import Message


class Channel(Protocol):
    """Something that takes a message or raises `ChannelFailed`, within some seconds: a row of the outbox is locked."""

    def send(self, message: Message) -> None: ...
