"""Rollups as arrays: what the spike tests read.

A series is a topic (or `*`, all of them) or a name in a stream (or `*`, both). `alerts.views` reads the minutes to be
judged and the hours of history before them; everything after that is arithmetic on arrays of shape [series, time].
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ALL = "*"
STREAMS = ("news", "comment")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
Counts = npt.NDArray[np.int64]


class Series(NamedTuple):
    """One thing that is watched; `*` stands for every topic, both streams, or whatever is named.

    A name is watched over all topics: where `entity` is not `*`, `topic` is.
    """

    topic: str
    stream: str
    entity: str = ALL

    @property
    def whole(self) -> bool:
        """Whether it is the sum over all topics and names."""
        return self.topic == ALL and self.entity == ALL

    @property
    def about(self) -> tuple[str, str]:
        """Topic and name, whatever the stream."""
        return self.topic, self.entity

    @property
    def name(self) -> str:
        """What it is about, for people: the name, else the topic."""
        return self.topic if self.entity == ALL else self.entity


class Part(NamedTuple):
    """Which messages are counted: those in some languages, or from sources like some patterns; all where empty."""

    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


EVERYTHING = Part()


class Count(NamedTuple):
    """Messages about a topic or name (`*`: about anything) in a stream, in the minute or hour that starts at `at`."""

    at: datetime
    name: str
    stream: str
    n: int
    negative: int


@dataclass(frozen=True)
class Rollups:
    """Counts of every series; `n` and `negative` by minute, `hour_n` and `hour_negative` by hour, [series, time].

    `known`: since when each name is known, ascending, where only names that could matter are among the series.
    """

    series: tuple[Series, ...]
    first_minute: datetime
    n: Counts
    negative: Counts
    first_hour: datetime
    hour_n: Counts
    hour_negative: Counts
    known: npt.NDArray[np.datetime64] | None = None

    @cached_property
    def whole(self) -> npt.NDArray[np.bool_]:
        """Which series are sums over all topics, [series]."""
        return np.array([item.whole for item in self.series], dtype=np.bool_)

    @cached_property
    def totals(self) -> npt.NDArray[np.int64]:
        """For each series the place of its stream's sum over all topics, which must be among them."""
        places = {item.stream: place for place, item in enumerate(self.series) if item.whole}
        return np.array([places[item.stream] for item in self.series], dtype=np.int64)

    def tests(self, hour: datetime, seen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many series are judged in that hour: those that were `seen` here, or that all known names make up.

        The second does not depend on which names were read, hence not on how minutes are cut into chunks.
        """
        if self.known is None:
            return seen
        names = int(np.searchsorted(self.known, np.datetime64(hour.replace(tzinfo=None))))
        return np.full_like(seen, max(names, 1) * (len(STREAMS) + 1))

    def minute_index(self, at: datetime) -> int:
        """The column of a minute in `n` and `negative`."""
        return (at - self.first_minute) // MINUTE

    def hour_index(self, at: datetime) -> int:
        """The column of an hour in `hour_n` and `hour_negative`; hours before the first are negative numbers."""
        return (at - self.first_hour) // HOUR


def like_pattern(pattern: str) -> str:
    """From a pattern of sources, with `*` and `?` as in file names, to one of SQL's LIKE."""
    for sign in ("\\", "%", "_"):
        pattern = pattern.replace(sign, f"\\{sign}")
    return pattern.replace("*", "%").replace("?", "_")


def floor_hour(at: datetime) -> datetime:
    """The start of the UTC hour of an aware time."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def window_sums(counts: Counts, lengths: Sequence[int]) -> Counts:
    """Sums over the last columns up to and including each one, [lengths, series, time]."""
    total = np.cumsum(counts, axis=1)
    sums = np.repeat(total[np.newaxis], len(lengths), axis=0)
    for part, length in zip(sums, lengths, strict=True):
        part[:, length:] -= total[:, :-length]
    return sums


def assemble(
    minutes: Sequence[Count],
    hours: Sequence[Count],
    *,
    first_minute: datetime,
    last_minute: datetime,
    days: int,
    of_names: bool = False,
    known: npt.NDArray[np.datetime64] | None = None,
) -> Rollups:
    """Arrays for the minutes `first_minute` to `last_minute` (inclusive) and the hours that their baselines need.

    Args:
        of_names: counts are of names and not of topics.
    """
    names = sorted({count.name for count in (*minutes, *hours)} - {ALL})
    about = [(ALL, name) if of_names else (name, ALL) for name in names]
    series = tuple(Series(topic, stream, name) for topic, name in (*about, (ALL, ALL)) for stream in (*STREAMS, ALL))
    first_hour = floor_hour(first_minute) - timedelta(days=days)
    n, negative = _fill(minutes, names, first_minute, MINUTE, (last_minute - first_minute) // MINUTE + 1)
    width = (floor_hour(last_minute) - first_hour) // HOUR + 1
    hour_n, hour_negative = _fill(hours, names, first_hour, HOUR, width)
    return Rollups(series, first_minute, n, negative, first_hour, hour_n, hour_negative, known)


def _fill(
    counts: Iterable[Count], names: Sequence[str], start: datetime, step: timedelta, width: int
) -> tuple[Counts, Counts]:
    """Counts by name, then those about anything, each with the sum over both streams; rows in the order of `assemble`.

    Counts about anything are given, or else they are the sums over the names.
    """
    cube = np.zeros((2, len(names) + 1, len(STREAMS) + 1, width), dtype=np.int64)
    row = {name: index for index, name in enumerate((*names, ALL))}
    place = {stream: index for index, stream in enumerate(STREAMS)}
    column = {start + index * step: index for index in range(width)}
    held = [(row[name], place[stream], column[at], n, bad) for at, name, stream, n, bad in counts if at in column]
    rows, streams, columns, n, negative = np.array(held, dtype=np.int64).reshape(-1, 5).T
    np.add.at(cube[0], (rows, streams, columns), n)
    np.add.at(cube[1], (rows, streams, columns), negative)
    if not cube[:, -1].any():
        cube[:, -1] = cube[:, :-1].sum(axis=1)
    cube[:, :, -1] = cube[:, :, :-1].sum(axis=2)
    flat = cube.reshape(2, -1, width)
    return flat[0], flat[1]
