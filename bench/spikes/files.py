"""Labelled series from a folder: `NAME.csv` or `NAME.csv.gz` with `timestamp,value`, and `windows.json`."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from alerts.count_files import read_series
from alerts.errors import AlertsError
from alerts.spikes import Floats
from bench.errors import BenchUsage
from bench.spikes.nab import Labelled

_Windows = dict[str, list[tuple[str, str]]]


def read_labelled(folder: Path) -> list[Labelled]:
    """Every series of the folder that `windows.json` (name to [first, last] time stamps) knows, by name.

    A file belongs to a name that is its own without the suffix, or the end of it behind `_`: `mentions_X.csv.gz` is X.

    Raises:
        BenchUsage: there is no such folder, no windows, no series, or a file cannot be read.
    """
    try:
        windows = msgspec.json.decode((folder / "windows.json").read_bytes(), type=_Windows)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BenchUsage(f"{folder / 'windows.json'} cannot be read: {error}") from error
    series = []
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")]):
        stem = path.name.removesuffix(".gz").removesuffix(".csv")
        name = next((known for known in windows if stem == known or stem.endswith(f"_{known}")), None)
        if name is None:
            continue
        try:
            found = read_series(path)
        except AlertsError as error:
            raise BenchUsage(str(error)) from error
        series.append(Labelled(name, found.seconds, found.values, _rows(found.seconds, windows[name], path)))
    if not series:
        raise BenchUsage(f"{folder} has no series that windows.json names")
    return series


def _rows(times: Floats, windows: list[tuple[str, str]], path: Path) -> tuple[tuple[int, int], ...]:
    rows = []
    for first, last in sorted(windows):
        start = int(np.searchsorted(times, _seconds(first, path), side="left"))
        end = int(np.searchsorted(times, _seconds(last, path), side="right")) - 1
        if end < start:
            raise BenchUsage(f"the window {first} .. {last} has no row of {path}")
        rows.append((start, end))
    return tuple(rows)


def _seconds(text: str, path: Path) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BenchUsage(f"windows.json: {text!r}, for {path.name}, is no time stamp") from None
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()
