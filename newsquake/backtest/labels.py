"""Labelled events for a backtest: JSON with the times in which an alert is right.

Either `{"name": [["start", "end"], …], …}` or a list of windows, `[["start", "end"], …]`. Times are ISO 8601, in UTC
unless they say otherwise; an end that is a bare date is the end of that day. Names are told back and mean nothing.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from newsquake.errors import LabelsInvalid

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SHAPE = '{"name": [["start", "end"], …]} or [["start", "end"], …]'


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """From `start` to before `end`, both UTC; `name` is empty where the labels have none."""

    start: datetime
    end: datetime
    name: str = ""


def read_labels(path: Path) -> list[Window]:
    """The windows of a file, in order of time.

    Raises:
        LabelsInvalid: the file cannot be read, or is not of the documented shape.
    """
    try:
        found = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise LabelsInvalid(f"{path} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LabelsInvalid(f"{path} is not JSON: {error}") from error
    named = found if isinstance(found, dict) else {"": found}
    if not all(isinstance(windows, list) for windows in named.values()):
        raise LabelsInvalid(f"{path} is not {_SHAPE}")
    return sorted(_window(path, name, given) for name, windows in named.items() for given in windows)


def _window(path: Path, name: str, given: Any) -> Window:
    if not (isinstance(given, list) and len(given) == 2 and all(isinstance(part, str) for part in given)):
        raise LabelsInvalid(f"{path}: {str(given)[:80]} is not a window; the file is {_SHAPE}")
    start, end = (_time(path, part) for part in given)
    if _DATE.fullmatch(given[1].strip()):
        end += timedelta(days=1)
    if start >= end:
        raise LabelsInvalid(f"{path}: the window from {given[0]} to {given[1]} ends before it starts")
    return Window(start, end, name)


def _time(path: Path, given: str) -> datetime:
    try:
        at = datetime.fromisoformat(given.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise LabelsInvalid(f"{path}: {given[:40]!r} is not a time such as 2026-06-08T01:30:00Z") from None
