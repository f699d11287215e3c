"""Labelled rows: read from JSONL or CSV, checked before anything is trained or scored, and split by content.

Fields of a row: `text` (required), `title` (put in front of it), `sentiment`, `topic` (id or display name), `lang`.
Either label may be missing; a row with neither only serves a teacher's soft labels. Files are UTF-8. Their topics are
the twenty of this project, or those that the caller names.
"""

import csv
import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from models.errors import DataError
from models.labels import TOPICS, own_topics, sentiment_index, topic_index, topic_name
from models.texts import titled

_Read = TypeVar("_Read")

MISSING = -1
"""Stands for a label that a row does not have; losses and metrics skip it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text; labels are logit indices or `MISSING`."""

    text: str
    sentiment: int = MISSING
    topic: int = MISSING
    lang: str = ""


def read_rows(paths: Sequence[Path], topics: Sequence[str] = TOPICS) -> list[Row]:
    """Read every file, JSONL unless it ends in `.csv`; labels are resolved by the given topics.

    Raises:
        DataError: a file is missing, empty or not UTF-8, or a row in it is wrong; says which line.
    """
    names = tuple(topics)
    return [_row(record, where, names) for record, where in _records(paths)]


def topics_in(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the distinct topics that the files name, sorted.

    Raises:
        DataError: a file cannot be read, or one of the names cannot be stored; says which line.
    """
    labels = []
    for record, where in _records(paths):
        label = record.get("topic")
        if label not in (None, ""):
            labels.append(_located(where, topic_name, label))
    return own_topics(labels)


def read_texts(path: Path) -> list[str]:
    """Read unlabelled texts: `text` of JSONL (`.jsonl`, `.json`) or CSV, else every line that is not empty.

    Raises:
        DataError: the file is missing, empty or not UTF-8, or a row in it has no text.
    """
    plain = path.suffix.lower() not in (".csv", ".json", ".jsonl")
    return [_text(record, where) for record, where in _records([path], plain=plain)]


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


def _records(paths: Sequence[Path], *, plain: bool = False) -> Iterator[tuple[Mapping[str, Any], str]]:
    for path in paths:
        found = False
        try:
            for record in _read_file(path, plain):
                found = True
                yield record
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 ({_undecodable(path)}): convert the file first") from error
        except csv.Error as error:
            raise DataError(f"{path}: not CSV ({error}): write it with a header and quoted fields") from error
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from error
        if not found:
            form = "one text a line" if plain else "one JSON object a line, or CSV with a header"
            raise DataError(f"{path}: no rows in it: {form}")


def _read_file(path: Path, plain: bool) -> Iterator[tuple[Mapping[str, Any], str]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        if path.suffix.lower() == ".csv":
            yield from _read_csv(csv.DictReader(lines, strict=True), path)
            return
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{path}:{number}"
                yield {"text": line.strip()} if plain else _parse(line, where), where


def _read_csv(reader: "csv.DictReader[str]", path: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    columns = reader.fieldnames or []
    if columns and "text" not in columns:
        raise DataError(f"{path}:1: no column `text` among {', '.join(columns)[:200]}: name the columns in line 1")
    for record in reader:
        if None in record:
            raise DataError(f"{path}:{reader.line_num}: more fields than columns: quote a text that has commas")
        yield record, f"{path}:{reader.line_num}"


def _undecodable(path: Path) -> str:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                return f"line {number}, byte {error.start + 1}"
    return "at its end"


def _parse(line: str, where: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(record).__name__}")
    return record


def _row(record: Mapping[str, Any], where: str, topics: tuple[str, ...]) -> Row:
    return Row(
        text=_text(record, where),
        sentiment=_label(where, record.get("sentiment"), sentiment_index),
        topic=_label(where, record.get("topic"), lambda label: topic_index(label, topics)),
        lang=str(record.get("lang") or ""),
    )


def _text(record: Mapping[str, Any], where: str) -> str:
    """Return what a worker would score, as valid Unicode."""
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: `text` is missing or empty")
    title = record.get("title")
    whole = titled(title if isinstance(title, str) else None, text)
    return whole.encode("utf-8", "replace").decode("utf-8")


def _label(where: str, value: Any, index: Callable[[str], int]) -> int:
    return MISSING if value is None or value == "" else _located(where, index, value)


def _located(where: str, read: Callable[[str], _Read], label: Any) -> _Read:
    """Read a label, and say where it stands if it cannot be read."""
    if not isinstance(label, str):
        raise DataError(f"{where}: label {label!r} is not a string")
    try:
        return read(label)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
