"""Topics, over all messages or those in some languages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, Select, Table, func, select

from alerts.series import ALL, Count, Series
from alerts.views.parts import by_hour, by_message, parts
from storage.tables import documents, scores, sentiment_hour, sentiment_minute

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Messages:
    """Counts of topics, in `languages` (primary subtags such as `zh`) where there are any."""

    languages: tuple[str, ...] = ()
    of_names: ClassVar[bool] = False

    def names(self, connection: Connection, start: datetime, end: datetime, least: int, recent: datetime) -> None:
        return None

    def known(self, connection: Connection) -> None:
        return None

    def minutes(
        self, connection: Connection, start: datetime, end: datetime, names: Sequence[str] | None = None
    ) -> list[Count]:
        return [Count(*row) for row in connection.execute(self._counts(sentiment_minute, start, end))]

    def hours(
        self, connection: Connection, start: datetime, end: datetime, names: Sequence[str] | None = None
    ) -> list[Count]:
        return [Count(*row) for row in connection.execute(self._counts(sentiment_hour, start, end))]

    def count(self, connection: Connection, series: Series, start: datetime, end: datetime) -> tuple[int, int]:
        table = sentiment_minute.c
        wanted = self._wanted(sentiment_minute, start, end)
        wanted += [table.topic == series.topic] if series.topic != ALL else []
        wanted += [table.stream == series.stream] if series.stream != ALL else []
        query = select(func.coalesce(func.sum(table.n), 0), func.coalesce(func.sum(table.negative), 0)).where(*wanted)
        messages, negatives = connection.execute(query).one()
        return int(messages), int(negatives)

    def written(self, series: Series) -> list[ColumnElement[bool]]:
        wanted = [scores.c.topic == series.topic] if series.topic != ALL else []
        wanted += [documents.c.stream == series.stream] if series.stream != ALL else []
        return wanted + ([documents.c.lang.in_(self.languages)] if self.languages else [])

    def source_parts(self, connection: Connection, stream: str, hour: datetime) -> dict[str, float]:
        """Of a week; of one day where languages limit it, since only the messages themselves tell then."""
        if not self.languages:
            return parts(connection, by_hour(stream, hour))
        return parts(connection, by_message(self.written(Series(ALL, stream)), hour - _DAY, hour))

    def _counts(self, table: Table, start: datetime, end: datetime) -> Select[Any]:
        keys = (table.c.bucket, table.c.topic, table.c.stream)
        query = select(*keys, func.sum(table.c.n), func.sum(table.c.negative))
        return query.where(*self._wanted(table, start, end)).group_by(*keys)

    def _wanted(self, table: Table, start: datetime, end: datetime) -> list[ColumnElement[bool]]:
        wanted = [table.c.bucket >= start, table.c.bucket < end]
        return wanted + ([table.c.lang.in_(self.languages)] if self.languages else [])
