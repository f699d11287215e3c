"""Rollups as arrays: what the spike tests read.

A series is a topic (or `*`, all of them) in a stream (or `*`, both). The minutes to be judged and the hours of history
before them are each read in one query; everything after that is arithmetic on arrays of shape [series, time].
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select

from storage.tables import sentiment_hour, sentiment_minute

ALL = "*"
STREAMS = ("news", "comment")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
Counts = npt.NDArray[np.int64]


class Series(NamedTuple):
    """One thing that is watched; `*` stands for every topic or both streams."""

    topic: str
    stream: str


class Count(NamedTuple):
    """Messages of a topic and stream in one minute or hour that starts at `at` (UTC)."""

    at: datetime
    topic: str
    stream: str
    n: int
    negative: int


@dataclass(frozen=True, slots=True)
class Rollups:
    """Counts of every series; `n` and `negative` by minute, `hour_n` and `hour_negative` by hour, [series, time]."""

    series: tuple[Series, ...]
    first_minute: datetime
    n: Counts
    negative: Counts
    first_hour: datetime
    hour_n: Counts
    hour_negative: Counts

    def minute_index(self, at: datetime) -> int:
        """The column of a minute in `n` and `negative`."""
        return (at - self.first_minute) // MINUTE

    def hour_index(self, at: datetime) -> int:
        """The column of an hour in `hour_n` and `hour_negative`; hours before the first are negative numbers."""
        return (at - self.first_hour) // HOUR


def stream_totals(series: Sequence[Series]) -> tuple[int, ...]:
    """For each series the place of its stream's sum over all topics, which must be among them."""
    places = {item.stream: place for place, item in enumerate(series) if item.topic == ALL}
    return tuple(places[item.stream] for item in series)


def floor_hour(at: datetime) -> datetime:
    """The start of the UTC hour of an aware time."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def window_sums(counts: Counts, length: int) -> Counts:
    """Sums over the last `length` columns up to and including each column; shape as `counts`."""
    total = np.cumsum(counts, axis=1)
    total[:, length:] -= total[:, :-length].copy()
    return total


def assemble(
    minutes: Sequence[Count], hours: Sequence[Count], *, first_minute: datetime, last_minute: datetime, days: int
) -> Rollups:
    """Arrays for the minutes `first_minute` to `last_minute` (inclusive) and the hours that their baselines need."""
    topics = sorted({count.topic for count in (*minutes, *hours)} - {ALL})
    series = tuple(Series(topic, stream) for topic in (*topics, ALL) for stream in (*STREAMS, ALL))
    first_hour = floor_hour(first_minute) - timedelta(days=days)
    n, negative = _fill(minutes, topics, first_minute, MINUTE, (last_minute - first_minute) // MINUTE + 1)
    width = (floor_hour(last_minute) - first_hour) // HOUR + 1
    hour_n, hour_negative = _fill(hours, topics, first_hour, HOUR, width)
    return Rollups(series, first_minute, n, negative, first_hour, hour_n, hour_negative)


def _fill(
    counts: Iterable[Count], topics: Sequence[str], start: datetime, step: timedelta, width: int
) -> tuple[Counts, Counts]:
    """Counts by topic, then the sums over both streams and all topics; rows in the order of `assemble`."""
    cube = np.zeros((2, len(topics) + 1, len(STREAMS) + 1, width), dtype=np.int64)
    row = {topic: index for index, topic in enumerate(topics)}
    for count in counts:
        column = (count.at - start) // step
        if 0 <= column < width:
            cube[:, row[count.topic], STREAMS.index(count.stream), column] += (count.n, count.negative)
    cube[:, :-1, -1] = cube[:, :-1, :-1].sum(axis=2)
    cube[:, -1] = cube[:, :-1].sum(axis=1)
    flat = cube.reshape(2, -1, width)
    return flat[0], flat[1]


def read_minutes(connection: Connection, start: datetime, end: datetime) -> list[Count]:
    """Counts of each minute from `start` to `end` (inclusive), over all languages."""
    table = sentiment_minute.c
    query = (
        select(table.bucket, table.topic, table.stream, func.sum(table.n), func.sum(table.negative))
        .where(table.bucket >= start, table.bucket <= end)
        .group_by(table.bucket, table.topic, table.stream)
    )
    return [Count(*row) for row in connection.execute(query)]


def read_hours(connection: Connection, start: datetime, end: datetime) -> list[Count]:
    """Counts of each UTC hour that starts from `start` up to, not including, `end`."""
    table = sentiment_hour.c
    query = (
        select(table.bucket, table.topic, table.stream, func.sum(table.n), func.sum(table.negative))
        .where(table.bucket >= start, table.bucket < end)
        .group_by(table.bucket, table.topic, table.stream)
    )
    return [Count(*row) for row in connection.execute(query)]
