"""What every channel is."""

from typing import Protocol

from alerts.message import Message


class Channel(Protocol):
    """Something that takes a message or raises `ChannelFailed`, within a minute or so: a row of the outbox is locked.

    `takes_pictures`: whether a message's `image` is shown; none is drawn for the others.
    """

    @property
    def takes_pictures(self) -> bool: ...

    def send(self, message: Message) -> None: ...
