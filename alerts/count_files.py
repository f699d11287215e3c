"""Count series as files: `timestamp,value` in, the same and `anomaly_score` out. Plain or gzip."""

import csv
import gzip
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np

from alerts.errors import AlertsError
from alerts.spikes import Floats

COLUMNS = ("timestamp", "value", "anomaly_score")


class InvalidSeries(AlertsError):
    """A file is no count series; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class CountSeries:
    """Rows of a file: time stamps and values as they were written, and as numbers, [rows] each."""

    stamps: tuple[str, ...]
    counts: tuple[str, ...]
    seconds: Floats
    """Since the epoch."""
    values: Floats


def read_series(path: Path) -> CountSeries:
    """A CSV with the columns `timestamp` (ISO 8601, UTC where it has no offset, not falling) and `value` (>= 0).

    Other columns are left out. Raises `InvalidSeries`.
    """
    try:
        with _opened(path) as text:
            return _rows(csv.reader(text), path)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InvalidSeries(f"{path} cannot be read: {reason}") from error


def write_scores(target: BinaryIO, series: CountSeries, scores: Floats) -> None:
    """`timestamp,value,anomaly_score`, the first two as they were read; scores have six digits."""
    text = io.TextIOWrapper(target, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (stamp, count, f"{own:.6f}") for stamp, count, own in zip(series.stamps, series.counts, scores, strict=True)
    )
    text.flush()
    text.detach()


def _opened(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(lines: Iterable[list[str]], path: Path) -> CountSeries:
    numbered = enumerate(lines, start=1)
    _, header = next(numbered, (0, []))
    names = [name.strip() for name in header]
    if not {"timestamp", "value"} <= set(names):
        raise InvalidSeries(f"{path} has no columns `timestamp` and `value` in its first line")
    stamp_at, value_at = names.index("timestamp"), names.index("value")
    stamps, counts, seconds, values = list[str](), list[str](), list[float](), list[float]()
    for number, cells in numbered:
        if not cells:
            continue
        if len(cells) <= max(stamp_at, value_at):
            raise InvalidSeries(f"{path}, row {number}: a cell is missing")
        stamps.append(cells[stamp_at])
        counts.append(cells[value_at])
        seconds.append(_seconds(cells[stamp_at], path, number))
        values.append(_count(cells[value_at], path, number))
        if len(seconds) > 1 and seconds[-1] < seconds[-2]:
            raise InvalidSeries(f"{path}, row {number}: {cells[stamp_at]!r} is earlier than the row before")
    if not stamps:
        raise InvalidSeries(f"{path} has no rows")
    return CountSeries(tuple(stamps), tuple(counts), np.array(seconds), np.array(values))


def _seconds(text: str, path: Path, number: int) -> float:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidSeries(f"{path}, row {number}: {text!r} is no ISO 8601 time stamp") from None
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def _count(text: str, path: Path, number: int) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise InvalidSeries(f"{path}, row {number}: {text!r} is no count (a number from 0 on)")
    return found
