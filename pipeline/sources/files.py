"""JSONL and CSV files (plain or gzip) as messages: one line is one row, and a bad row stops nobody.

Columns are the wire format's. Beyond them: `ts` is taken for `published_at`, `stream` chooses the stream where the
caller does not, a missing `id` becomes a hash of the content, a missing `source` the caller's default. Rows whose
`ts_precision` is `day` carry a date and no time: they are spread over their day by a hash of their identity, so a
replay does not see a whole day's news at midnight. Rows of a time that no message may have are bad ones: ordering and
pacing go by the times of the rest.
"""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import InvalidMessage, InvalidSource
from pipeline.message import Message, validate_time
from pipeline.settings import Stream

_FIELDS = frozenset(Message.__struct_fields__)
_DAY = timedelta(days=1)

Content = io.BufferedReader | gzip.GzipFile


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: a message for a stream, or the reason why there is none. `line` counts from 1."""

    line: int
    message: Message | None = None
    stream: Stream | None = None
    error: str | None = None


@contextmanager
def open_file(path: Path) -> Iterator[tuple[Content, io.BufferedReader]]:
    """The file's content and the file itself (whose position shows progress); raises `InvalidSource`."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise InvalidSource(f"{path} cannot be read: {error.strerror}") from error
    with raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        yield (gzip.GzipFile(fileobj=raw) if packed else raw), raw


def read_rows(content: Content, *, name: str, stream: Stream | None = None, source: str | None = None) -> Iterator[Row]:
    """Every row of a JSONL or CSV file (told by `name`, else by its first character), in file order."""
    suffixes = {suffix.lower() for suffix in Path(name).suffixes}
    try:
        tabular = ".csv" in suffixes or (not suffixes & {".jsonl", ".ndjson", ".json"} and content.peek(1)[:1] != b"{")
        for line, fields in _csv(content) if tabular else _jsonl(content):
            if isinstance(fields, str):
                yield Row(line, error=fields)
            else:
                yield _row(line, fields, stream, source, now=datetime.now(UTC))
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidSource(f"{name} is damaged: {error}") from error


def _jsonl(content: Iterable[bytes]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for line, raw in enumerate(content, 1):
        if not raw.strip():
            continue
        try:
            fields = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield line, f"not JSON: {error}"
            continue
        yield line, fields if isinstance(fields, dict) else "not a JSON object"


def _csv(content: Content) -> Iterator[tuple[int, dict[str, Any] | str]]:
    text = io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.DictReader(text)
    try:
        if not reader.fieldnames or "text" not in reader.fieldnames:
            raise InvalidSource("a CSV file needs a header line with at least the column `text`")
        for record in reader:
            if None in record:
                yield reader.line_num, "more cells than the header has columns"
                continue
            cells: dict[str, Any] = {key: cell for key, cell in record.items() if cell}
            if any("\udc80" <= character <= "\udcff" for cell in cells.values() for character in cell):
                yield reader.line_num, "not UTF-8"
                continue
            if "entities" in cells:
                cells["entities"] = [name.strip() for name in cells["entities"].split(";") if name.strip()]
            yield reader.line_num, cells
    except csv.Error as error:
        raise InvalidSource(f"line {reader.line_num} is no CSV: {error}") from error
    finally:
        text.detach()  # the content is its opener's to close


def _row(line: int, fields: dict[str, Any], stream: Stream | None, source: str | None, *, now: datetime) -> Row:
    wire = {name: value for name, value in fields.items() if name in _FIELDS and value is not None}
    if "published_at" not in wire and "ts" in fields:
        wire["published_at"] = fields["ts"]
    if source is not None:
        wire.setdefault("source", source)
    chosen = stream or fields.get("stream")
    if chosen not in ("news", "comment"):
        return Row(line, error="no stream: give --stream news or --stream comment")
    try:
        if "id" not in wire:
            wire["id"] = _content_id(wire)
        message = msgspec.convert(wire, Message)
        if fields.get("ts_precision") == "day":
            message = _spread(message)
        validate_time(message.published_at, now=now)
    except (msgspec.ValidationError, InvalidMessage, OverflowError) as error:
        return Row(line, error=str(error))
    return Row(line, message=message, stream=chosen)


def _content_id(wire: dict[str, Any]) -> str:
    parts = [str(wire.get(name, "")) for name in ("source", "published_at", "title", "text")]
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=12).hexdigest()


def _spread(message: Message) -> Message:
    """A time of day that depends on the message's identity alone."""
    midnight = message.published_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    fraction = (message.key.int >> 64) / 2**64
    return msgspec.structs.replace(message, published_at=midnight + timedelta(seconds=int(86_400 * fraction)))


def in_time_order(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows in order of event time, for a file that is in order by day at least; holds one day's rows in memory.

    Rows of a day that has passed already, and rows with an error, come out where they stand.
    """
    day: datetime | None = None
    held: list[Row] = []
    for row in rows:
        if row.message is None:
            yield row
            continue
        at = row.message.published_at
        if day is None or at >= day + _DAY:
            yield from _sorted(held)
            held = []
            day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if at < day:
            yield row
        else:
            held.append(row)
    yield from _sorted(held)


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.message.published_at if row.message else datetime.max.replace(tzinfo=UTC))


def within(rows: Iterable[Row], since: datetime | None, until: datetime | None) -> Iterator[Row]:
    """Rows with event times from `since` to before `until`; rows with an error pass."""
    for row in rows:
        at = row.message.published_at if row.message else None
        if at is None or ((since is None or at >= since) and (until is None or at < until)):
            yield row
