"""Texts from before a spike, to hold its own against: some hundred of the days before, whatever their sentiment."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from alerts.series import ALL, Series
from alerts.views import EVERYDAY, View
from alerts.views.parts import published, scored_documents
from storage.tables import documents

_DAYS = 4
_SPAN = timedelta(hours=6)
_A_DAY = 75  # texts of each day: an index gives the newest, so that a day of millions costs no more
_ENOUGH = 40  # below so many of its own, a series is held against everything in its stream
_TEXT = 800


def read_earlier(connection: Connection, view: View, series: Series, hour: datetime) -> list[str]:
    """Distinct texts of a series, or else of its stream, up to `hour` on each of the four days before it.

    The same ones whenever it is asked, late arrivals aside.
    """
    own = _texts(connection, view, series, hour)
    if len(own) >= _ENOUGH or series.whole:
        return own
    return _texts(connection, EVERYDAY if view.of_names else view, Series(ALL, series.stream), hour)


def _texts(connection: Connection, view: View, series: Series, hour: datetime) -> list[str]:
    found: dict[int, str] = {}
    for day in range(1, _DAYS + 1):
        end = hour - timedelta(days=day)
        doc = documents.c
        written = func.concat_ws(" ", func.nullif(doc.title, ""), func.left(doc.text, _TEXT))
        query = select(doc.content_hash, written).select_from(scored_documents())
        query = query.where(*published(end - _SPAN, end), *view.written(series))
        query = query.order_by(doc.published_at.desc(), doc.key.desc()).limit(_A_DAY)
        found |= {content: text for content, text in connection.execute(query)}
    return list(found.values())
