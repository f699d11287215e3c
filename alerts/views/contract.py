"""What every view can be asked. Spans run from `start` up to, not including, `end`; times are UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection

from alerts.series import Count, Series


class View(Protocol):
    """Counts by minute and by hour, the messages behind them, and who usually writes those.

    `of_names`: whether counts are of names; else they are of topics.
    """

    of_names: ClassVar[bool]

    def names(
        self, connection: Connection, start: datetime, end: datetime, least: int, recent: datetime
    ) -> Sequence[str] | None:
        """Names with at least so many negatives in the span, one of them from `recent` on; None where all is read."""

    def known(self, connection: Connection) -> npt.NDArray[np.datetime64] | None:
        """Since when each name that may be watched is known, ascending; None where all of them are read anyway."""

    def minutes(
        self, connection: Connection, start: datetime, end: datetime, names: Sequence[str] | None = None
    ) -> list[Count]:
        """Counts of each minute; of `names` only those, where there are any, and of everything together."""

    def hours(
        self, connection: Connection, start: datetime, end: datetime, names: Sequence[str] | None = None
    ) -> list[Count]:
        """Counts of each UTC hour, likewise."""

    def count(self, connection: Connection, series: Series, start: datetime, end: datetime) -> tuple[int, int]:
        """All messages and negatives of a series, copies included."""

    def written(self, series: Series) -> list[ColumnElement[bool]]:
        """What `documents` and `scores` joined must meet to be messages of a series, time and sentiment aside."""

    def source_parts(self, connection: Connection, stream: str, hour: datetime) -> dict[str, float]:
        """Each source's part of a stream's messages in the time before `hour`."""
