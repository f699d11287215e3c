"""What the dead-letter topic holds: each letter once, with what is known of it and whether it was replayed.

Replays are remembered in the topic itself, in records of our own with the header `marker`: which letters were sent
back is thus as durable as the letters are, holds for replays of a selection, too, and goes when the letters go.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from pipeline.dead_letter_archive import ArchivedLetter
from pipeline.message import MAX_BYTES
from pipeline.reasons import Reason

MARKER = "marker"
"""Header of a record that is no letter."""
REPLAY_MARKER = b"replayed"
"""Value of that header: the record's value is a JSON list with the identities of letters that were sent back."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One letter without its bytes. `copies` are the positions of all records of it, the first one's in front."""

    partition: int
    offset: int
    at: datetime
    reason: Reason | None
    error: str
    origin: tuple[str, int, int] | None
    source: str | None
    id: str | None
    bytes: int | None
    replay_of: str | None
    identity: str
    copies: tuple[tuple[int, int], ...]
    replayed: bool = False

    @property
    def position(self) -> str:
        """`partition@offset` in the dead-letter topic."""
        return f"{self.partition}@{self.offset}"


class _Fields(msgspec.Struct):
    source: Any = None
    id: Any = None


_fields = msgspec.json.Decoder(_Fields)
_marker = msgspec.json.Decoder(list[str])


def is_marker(letter: ArchivedLetter) -> bool:
    """Whether a record tells of a replay and is no letter."""
    return MARKER in letter.headers


def catalogue(letters: Iterable[ArchivedLetter]) -> list[Entry]:
    """Each letter once, in the order of the topic."""
    entries: dict[str, Entry] = {}
    replayed: set[str] = set()
    for letter in letters:
        if is_marker(letter):
            replayed.update(_identities(letter.value))
            continue
        known = entries.get(letter.identity)
        here = (letter.partition, letter.offset)
        entries[letter.identity] = replace(known, copies=(*known.copies, here)) if known else _entry(letter)
    return [replace(entry, replayed=True) if entry.identity in replayed else entry for entry in entries.values()]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: all conditions that are given hold. `positions` may name any copy of a letter."""

    reason: Reason | None = None
    topic: str | None = None
    since: datetime | None = None
    positions: Collection[tuple[int, int]] | None = None

    def covers(self, entry: Entry) -> bool:
        """Whether the letter is meant."""
        return (
            (self.reason is None or entry.reason is self.reason)
            and (self.topic is None or (entry.origin is not None and entry.origin[0] == self.topic))
            and (self.since is None or entry.at >= self.since)
            and (self.positions is None or not set(entry.copies).isdisjoint(self.positions))
        )


def source_and_id(value: bytes | None) -> tuple[str | None, str | None]:
    """What the message calls itself, as far as that can be read."""
    if value is None or len(value) > MAX_BYTES:
        return None, None
    try:
        fields = _fields.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, None
    return _text(fields.source), _text(fields.id)


def _text(field: object) -> str | None:
    return str(field)[:200] if isinstance(field, str | int | float) else None


def _entry(letter: ArchivedLetter) -> Entry:
    source, identifier = source_and_id(letter.value)
    return Entry(
        partition=letter.partition,
        offset=letter.offset,
        at=letter.at,
        reason=letter.reason,
        error=letter.error,
        origin=letter.origin,
        source=source,
        id=identifier,
        bytes=None if letter.value is None else len(letter.value),
        replay_of=letter.replay_of,
        identity=letter.identity,
        copies=((letter.partition, letter.offset),),
    )


def _identities(value: bytes | None) -> list[str]:
    try:
        return _marker.decode(value or b"[]")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
