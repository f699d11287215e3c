"""Labelled rows: read from JSONL or CSV, checked before anything is trained or scored, and split by content.

Fields of a row: `text` (required), `title` (put in front of it), `sentiment`, `topic` (id or display name), `lang`.
Either label may be missing; a row with neither only serves a teacher's soft labels.
"""

import csv
import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import DataError
from models.labels import sentiment_index, topic_index

MISSING = -1
"""Stands for a label that a row does not have; losses and metrics skip it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text; labels are logit indices or `MISSING`."""

    text: str
    sentiment: int = MISSING
    topic: int = MISSING
    lang: str = ""


def read_rows(paths: Sequence[Path]) -> list[Row]:
    """Read every file, JSONL unless it ends in `.csv`.

    Raises:
        DataError: a file is missing, empty or not UTF-8, or a row in it is wrong; says which line.
    """
    rows: list[Row] = []
    for path in paths:
        before = len(rows)
        try:
            rows.extend(_read_file(path))
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 (byte {error.start}): convert the file first") from error
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from error
        if len(rows) == before:
            raise DataError(f"{path}: no rows in it: one JSON object a line, or CSV with a header")
    return rows


def content_bucket(text: str) -> int:
    """Return 0..99 from the letters and digits of a text alone, so that near-copies fall on one side of a split."""
    letters = "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
    return int.from_bytes(hashlib.blake2b(letters.encode("utf-8", "replace"), digest_size=4).digest()) % 100


def split_rows(rows: Iterable[Row], held_back: int) -> tuple[list[Row], list[Row]]:
    """Split into training rows and about `held_back` percent held-back rows, by content."""
    kept: list[Row] = []
    held: list[Row] = []
    for row in rows:
        (held if content_bucket(row.text) < held_back else kept).append(row)
    return kept, held


def _read_file(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        if path.suffix.lower() == ".csv":
            reader = csv.DictReader(lines)
            for record in reader:
                yield _row(record, f"{path}:{reader.line_num}")
            return
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _row(_parse(line, f"{path}:{number}"), f"{path}:{number}")


def _parse(line: str, where: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(record).__name__}")
    return record


def _row(record: Mapping[str, Any], where: str) -> Row:
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: `text` is missing or empty")
    title = record.get("title")
    try:
        return Row(
            text=f"{title}\n{text}" if isinstance(title, str) and title.strip() else text,
            sentiment=_label(record.get("sentiment"), sentiment_index),
            topic=_label(record.get("topic"), topic_index),
            lang=str(record.get("lang") or ""),
        )
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _label(value: Any, index: Any) -> int:
    if value is None or value == "":
        return MISSING
    if not isinstance(value, str):
        raise DataError(f"label {value!r} is not a string")
    return int(index(value))
