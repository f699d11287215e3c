"""Messages without end: the texts of the pipeline's benchmark come again and again, each time under a new mark.

The mark stands in front of the text, so that the engine answers none of them from its cache and cutting a long text
takes nothing away from it. A message carries what a real one carries beside its text, a link and a language, and is
published as of now.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path

import msgspec

from bench.pipeline.messages import Item, make_messages
from models.texts import written_in
from pipeline.message import Message, encode

DISTINCT = 20_000
"""Texts of a round at most."""

_NAME = "{:010}"


class Load:
    """Hands out messages in order; the ids are the numbers from 0 on."""

    def __init__(self, place: Path | None, distinct: int = DISTINCT) -> None:
        """Read the texts.

        Raises:
            BenchUsage: there are none.
        """
        self.source = str(place or "the package's corpus")
        self.published = 0
        """Messages handed out so far."""
        self.bytes = 0
        """Size of their values."""
        texts = make_messages(place, distinct, datetime.now(UTC))
        self._texts = [(item, written_in(item.message.text)) for item in texts]
        self._endless = self._items()

    def take(self, number: int) -> list[Item]:
        """The next messages."""
        taken = list(islice(self._endless, number))
        self.published += len(taken)
        self.bytes += sum(len(item.value) for item in taken)
        return taken

    def _items(self) -> Iterator[Item]:
        number = 0
        for turn in count(1):
            for item, lang in self._texts:
                yield self._item(number, turn, item, lang)
                number += 1

    def _item(self, number: int, turn: int, item: Item, lang: str) -> Item:
        name = _NAME.format(number)
        message: Message = msgspec.structs.replace(
            item.message,
            id=name,
            published_at=datetime.now(UTC),
            text=f"{turn}: {item.message.text}",
            url=f"https://bench.example/{item.stream}/{name}",
            lang=lang,
        )
        return Item(item.stream, message, encode(message))

    @property
    def ends(self) -> tuple[str, str]:
        """The first and the last id handed out."""
        return _NAME.format(0), _NAME.format(self.published - 1)
