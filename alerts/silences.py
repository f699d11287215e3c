"""Silences: while they cover all of an episode, it is evaluated and recorded as ever, and nobody is told.

Covered means every series that stands out by itself: a silence of one topic or name hides nothing of another one that
joins. Sums (all topics, both streams) follow what they are made of. Silences go by the wall clock and are never
deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from sqlalchemy import Connection, Row, func, insert, select, update

from alerts.errors import InvalidSilence, NotDone
from alerts.series import ALL, STREAMS, Series
from storage.tables import silences

_MOST = 0.5  # share of what counts that has to name the entity, or to come from the sources


@dataclass(frozen=True, slots=True)
class Silence:
    """One row of `silences`; what is None does not limit it. Times are aware."""

    silence_id: int
    topic: str | None
    stream: str | None
    entity: str | None
    source_pattern: str | None
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str

    def active(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at


@dataclass(frozen=True, slots=True)
class Subject:
    """What a silence is held against: an episode's series, and what counts by entity, source and topic.

    `counted` is what `entities` and `sources` are parts of: of many texts a sample is looked at.
    """

    series: tuple[Series, ...]
    entities: Mapping[str, int]
    sources: Mapping[str, int]
    counted: int
    topics: Mapping[str, int] = field(default_factory=dict)


def covering(found: Sequence[Silence], subject: Subject, now: datetime) -> Silence | None:
    """The silence that hides the subject now, None where something of it shows.

    Where it takes several, the one that ends first.
    """
    active = [silence for silence in found if silence.active(now) and _of_sources(silence, subject)]
    needed: list[Silence] = []
    for series in standing_out(subject.series):
        over = [silence for silence in active if _holds(silence, series, subject)]
        if not over:
            return None
        needed.append(max(over, key=lambda silence: (silence.ends_at, silence.silence_id)))
    return min(needed, key=lambda silence: (silence.ends_at, silence.silence_id), default=None)


def standing_out(series: Sequence[Series]) -> list[Series]:
    """The series that are no sums of others among them: single topics in single streams, where there are any."""
    parts = [item for item in series if not item.whole] or list(series)
    split = {item.about for item in parts if item.stream != ALL}
    return [item for item in parts if item.stream != ALL or item.about not in split]


def _holds(silence: Silence, series: Series, subject: Subject) -> bool:
    """By the series' own topic and name; of a name, by the topic of most of what counts, and the other way round."""
    if silence.stream not in (None, series.stream):
        return False
    if series.entity == ALL:
        return silence.topic in (None, series.topic) and _mostly(silence.entity, subject.entities, subject.counted)
    same = silence.entity is None or silence.entity.casefold() == series.entity.casefold()
    return same and _mostly(silence.topic, subject.topics, sum(subject.topics.values()))


def _of_sources(silence: Silence, subject: Subject) -> bool:
    pattern = silence.source_pattern
    if pattern is None:
        return True
    like = sum(count for name, count in subject.sources.items() if fnmatchcase(name, pattern))
    return like >= max(1.0, _MOST * subject.counted)


def _mostly(wanted: str | None, counts: Mapping[str, int], whole: int) -> bool:
    """Whether the one that is asked for, if any, makes up most of what counts."""
    if wanted is None:
        return True
    found = sum(count for name, count in counts.items() if name.casefold() == wanted.casefold())
    return found >= max(1.0, _MOST * whole)


def read_silences(
    connection: Connection, now: datetime, *, ended: bool = False, limit: int | None = None
) -> list[Silence]:
    """Silences that are active or to come, the next to end first; those that `ended`, too, the newest first."""
    query = select(*_COLUMNS)
    query = query.order_by(silences.c.silence_id.desc()) if ended else query.where(silences.c.ends_at > now)
    query = query if ended else query.order_by(silences.c.ends_at, silences.c.silence_id)
    return [_silence(row) for row in connection.execute(query.limit(limit))]


def add_silence(
    connection: Connection,
    *,
    topic: str | None = None,
    stream: str | None = None,
    entity: str | None = None,
    source_pattern: str | None = None,
    starts_at: datetime,
    ends_at: datetime,
    author: str,
    comment: str,
    now: datetime,
) -> Silence:
    """Write one down; raises `InvalidSilence`. With nothing to limit it, it hides every episode."""
    if ends_at <= starts_at or ends_at <= now:
        raise InvalidSilence("the silence would be over before it begins: give an end that lies ahead")
    if stream not in (None, *STREAMS):
        raise InvalidSilence(f"no stream {stream!r}: use one of {', '.join(STREAMS)}")
    if not author.strip():
        raise InvalidSilence("a silence needs an author")
    for limit, given in (("topic", topic), ("entity", entity), ("source", source_pattern)):
        if given is not None and not given.strip():
            raise InvalidSilence(f"the {limit} is empty: leave it out, or say which")
    values = {"topic": topic, "stream": stream, "entity": entity, "source_pattern": source_pattern, "comment": comment}
    values |= {"author": author}
    times = {"starts_at": starts_at, "ends_at": ends_at, "created_at": now}
    made = insert(silences).values(**values, **times).returning(*_COLUMNS)
    return _silence(connection.execute(made).one())


def lift_silence(connection: Connection, silence_id: int, *, author: str, now: datetime) -> tuple[Silence, bool]:
    """End one now; whether that changed anything. Raises `NotDone` where there is none of that number."""
    table = silences.c
    row = connection.execute(select(*_COLUMNS).where(table.silence_id == silence_id).with_for_update()).one_or_none()
    if row is None:
        raise NotDone(f"there is no silence {silence_id}: `newsquake alerts silences` lists them")
    if row.ends_at <= now:
        return _silence(row), False
    ends_at = func.greatest(table.starts_at, now)
    lifted = update(silences).where(table.silence_id == silence_id)
    done = lifted.values(ends_at=ends_at, lifted_at=now, lifted_by=author).returning(*_COLUMNS)
    return _silence(connection.execute(done).one()), True


_COLUMNS = tuple(silences.c[name] for name in Silence.__dataclass_fields__)


def _silence(row: Row[tuple[object, ...]]) -> Silence:
    return Silence(**row._mapping)
