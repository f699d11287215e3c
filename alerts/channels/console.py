"""Standard output."""

from typing import ClassVar

import typer

from alerts.errors import ChannelFailed
from alerts.message import Message


class Console:
    """Prints to standard output, where `newsquake up` and container logs show it."""

    takes_pictures: ClassVar[bool] = False

    def send(self, message: Message) -> None:
        try:
            typer.echo(f"\n{message.title}\n{message.body}\n")
        except OSError as error:
            raise ChannelFailed(f"standard output does not take text ({error.strerror})") from error
