"""Standard output."""

import sys
from typing import ClassVar

import typer

from alerts.errors import ChannelFailed
from alerts.message import Message


class Console:
    """Prints to standard output, where `newsquake up` and container logs show it."""

    takes_pictures: ClassVar[bool] = False

    def send(self, message: Message) -> None:
        try:
            text = f"\n{message.title}\n{message.body}\n"
            encoding = sys.stdout.encoding or "utf-8"  # what the terminal cannot show must not keep the rest from it
            typer.echo(text.encode(encoding, "replace").decode(encoding))
        except OSError as error:
            raise ChannelFailed(f"standard output does not take text ({error.strerror})") from error
