"""Names, over all topics: each by its own counts, beside those of all messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    func,
    literal,
    select,
    text,
)

from alerts.series import ALL, HOUR, Count, Series
from alerts.views.parts import by_hour, parts
from storage.tables import documents, entity_minute, sentiment_hour, sentiment_minute

_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
_KNOWN = Path(__file__).with_name("known_names.sql").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Names:
    """Counts of the names in `wanted`, spelt as sources spell them; of every name where it is None."""

    wanted: tuple[str, ...] | None
    of_names: ClassVar[bool] = True

    def names(
        self, connection: Connection, start: datetime, end: datetime, least: int, recent: datetime
    ) -> Sequence[str]:
        if self.wanted is not None:
            return self.wanted
        table = entity_minute.c
        query = select(table.entity).where(table.bucket >= start, table.bucket < end, table.entity != ALL)
        query = query.group_by(table.entity).having(func.sum(table.negative) >= least)
        query = query.having(func.sum(table.negative).filter(table.bucket >= recent) > 0)
        return connection.execute(query).scalars().all()

    def known(self, connection: Connection) -> npt.NDArray[np.datetime64] | None:
        if self.wanted is not None:
            return None
        found = connection.execute(text(_KNOWN)).scalars()
        return np.sort(np.array([at.astimezone(UTC).replace(tzinfo=None) for at in found], dtype="datetime64[us]"))

    def minutes(
        self, connection: Connection, start: datetime, end: datetime, names: Sequence[str] | None = None
    ) -> list[Count]:
        bucket = entity_minute.c.bucket
        return self._counts(connection, _of_names(bucket, start, end, names), sentiment_minute, start, end)

    def hours(
        self, connection: Connection, start: datetime, end: datetime, names: Sequence[str] | None = None
    ) -> list[Count]:
        bucket = func.date_bin(HOUR, entity_minute.c.bucket, _ORIGIN).label("hour")
        return self._counts(connection, _of_names(bucket, start, end, names), sentiment_hour, start, end)

    def count(self, connection: Connection, series: Series, start: datetime, end: datetime) -> tuple[int, int]:
        table = entity_minute.c
        wanted = [table.entity == series.entity, table.bucket >= start, table.bucket < end]
        wanted += [table.stream == series.stream] if series.stream != ALL else []
        query = select(func.coalesce(func.sum(table.n), 0), func.coalesce(func.sum(table.negative), 0)).where(*wanted)
        messages, negatives = connection.execute(query).one()
        return int(messages), int(negatives)

    def written(self, series: Series) -> list[ColumnElement[bool]]:
        wanted = [documents.c.stream == series.stream] if series.stream != ALL else []
        return [*wanted, any_(documents.c.entities) == series.entity]

    def source_parts(self, connection: Connection, stream: str, hour: datetime) -> dict[str, float]:
        """Of all messages of the stream: who writes about one name alone is not known before it is written about."""
        return parts(connection, by_hour(stream, hour))

    def _counts(
        self, connection: Connection, of_names: Select[Any], whole: Table, start: datetime, end: datetime
    ) -> list[Count]:
        keys = (whole.c.bucket, whole.c.stream)
        together = select(whole.c.bucket, literal(ALL), whole.c.stream, func.sum(whole.c.n), func.sum(whole.c.negative))
        together = together.where(whole.c.bucket >= start, whole.c.bucket < end).group_by(*keys)
        return [Count(*row) for query in (together, of_names) for row in connection.execute(query).all()]


def _of_names(
    bucket: ColumnElement[datetime], start: datetime, end: datetime, names: Sequence[str] | None
) -> Select[Any]:
    table = entity_minute.c
    query = select(bucket, table.entity, table.stream, func.sum(table.n), func.sum(table.negative))
    query = query.where(table.bucket >= start, table.bucket < end, table.entity != ALL)
    if names is not None:
        query = query.where(table.entity == any_(bindparam("names", list(names), ARRAY(Text))))
    return query.group_by(bucket, table.entity, table.stream)
