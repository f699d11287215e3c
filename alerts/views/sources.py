"""Everything from some sources together: counts by source are kept by the hour and without topics."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, Select, func, literal, or_, select

from alerts.series import ALL, HOUR, MINUTE, Count, Series, floor_hour, like_pattern
from alerts.views.parts import by_hour, parts, published, scored_documents
from storage.tables import documents, scores, source_hour

_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sources:
    """Counts of messages from sources like one of `patterns`; `*` and `?` as in file names."""

    patterns: tuple[str, ...]
    of_names: ClassVar[bool] = False

    def names(self, connection: Connection, start: datetime, end: datetime, least: int, recent: datetime) -> None:
        return None

    def known(self, connection: Connection) -> None:
        return None

    def minutes(
        self, connection: Connection, start: datetime, end: datetime, names: Sequence[str] | None = None
    ) -> list[Count]:
        """From the messages of the span themselves."""
        minute = func.date_bin(MINUTE, documents.c.published_at, _ORIGIN).label("minute")
        query = select(minute, literal(ALL), documents.c.stream, func.count(), _negatives())
        query = query.select_from(scored_documents()).where(*published(start, end), *self.written(Series(ALL, ALL)))
        return [Count(*row) for row in connection.execute(query.group_by(minute, documents.c.stream))]

    def hours(
        self, connection: Connection, start: datetime, end: datetime, names: Sequence[str] | None = None
    ) -> list[Count]:
        table = source_hour.c
        query = select(table.bucket, literal(ALL), table.stream, func.sum(table.n), func.sum(table.negative))
        query = query.where(table.bucket >= start, table.bucket < end, self._like(table.source))
        return [Count(*row) for row in connection.execute(query.group_by(table.bucket, table.stream))]

    def count(self, connection: Connection, series: Series, start: datetime, end: datetime) -> tuple[int, int]:
        whole_hours = start == floor_hour(start) and end == floor_hour(end) and end - start >= HOUR
        query = self._by_hours(series, start, end) if whole_hours else self._by_messages(series, start, end)
        messages, negatives = connection.execute(query).one()
        return int(messages), int(negatives)

    def written(self, series: Series) -> list[ColumnElement[bool]]:
        wanted = [documents.c.stream == series.stream] if series.stream != ALL else []
        return [*wanted, self._like(documents.c.source)]

    def source_parts(self, connection: Connection, stream: str, hour: datetime) -> dict[str, float]:
        return parts(connection, by_hour(stream, hour).where(self._like(source_hour.c.source)))

    def _by_hours(self, series: Series, start: datetime, end: datetime) -> Select[Any]:
        table = source_hour.c
        wanted = [table.bucket >= start, table.bucket < end, self._like(table.source)]
        wanted += [table.stream == series.stream] if series.stream != ALL else []
        counts: tuple[ColumnElement[Any], ...] = (table.n, table.negative)
        return select(*(func.coalesce(func.sum(count), 0) for count in counts)).where(*wanted)

    def _by_messages(self, series: Series, start: datetime, end: datetime) -> Select[Any]:
        counts: tuple[ColumnElement[Any], ...] = (func.count(), _negatives())
        query = select(*counts).select_from(scored_documents())
        return query.where(*published(start, end), *self.written(series))

    def _like(self, source: ColumnElement[Any]) -> ColumnElement[bool]:
        return or_(*(source.like(like_pattern(pattern)) for pattern in self.patterns))


def _negatives() -> ColumnElement[int]:
    return func.count().filter(scores.c.sentiment == "negative")
