"""The second stage of the tests with a database behind it: who wrote what stands behind a spike, and what is usual.

Reads the messages of a window for `alerts.evidence`, what is usual for `alerts.usual`, and earlier texts for
`alerts.terms`.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial

from sqlalchemy import Connection

from alerts import store
from alerts.assess import Spike
from alerts.earlier import read_earlier
from alerts.episodes import Examine
from alerts.evidence import Confirmed, Evidence, confirm, weigh
from alerts.series import MINUTE, Series, floor_hour
from alerts.settings import AlertsSettings
from alerts.terms import top_terms
from alerts.usual import Usual, genuine_part, references
from alerts.views import View


def examiner(connection: Connection, view: View, settings: AlertsSettings) -> Examine:
    """The second stage of the tests, reading the messages behind a spike; each window is read once.

    A window of hours looks back on minutes that were judged long ago: what was filled in later pages nobody, except
    in a replay, where all of history is new.
    """
    too_late = timedelta(minutes=settings.max_age_minutes)
    known: dict[tuple[Series, int], Evidence] = {}
    usual: dict[tuple[Series, int], Usual] = {}
    earlier: dict[tuple[Series, datetime], list[str]] = {}
    at: list[datetime] = []

    def examine(spike: Spike) -> Confirmed | None:
        if not settings.watches(spike.series.topic, spike.series.stream):
            return None
        if at != [spike.minute]:
            known.clear()
            if not at or floor_hour(at[0]) != floor_hour(spike.minute):
                usual.clear()
                earlier.clear()
            at[:] = [spike.minute]
        window = (spike.series, spike.window)
        if window not in usual:
            usual[window] = _usual(connection, view, *window, floor_hour(spike.minute))
        if window not in known:
            end = spike.minute + MINUTE
            late = None if settings.replay or spike.window <= max(settings.windows) else too_late
            start = end - spike.window * MINUTE
            sample = store.read_negatives(connection, view, spike.series, start, end, late=late)
            known[window] = weigh(sample, usual[window])
        confirmed = confirm(spike, known[window], settings, usual[window])
        return None if confirmed is None else replace(confirmed, terms=cache(partial(terms, confirmed)))

    def terms(confirmed: Confirmed) -> list[str]:
        spike = confirmed.spike
        before = spike.series, floor_hour(spike.minute - spike.window * MINUTE)
        if before not in earlier:
            earlier[before] = read_earlier(connection, view, *before)
        return top_terms([document.text for document in confirmed.evidence.kept], earlier[before])

    return examine


def _usual(connection: Connection, view: View, series: Series, minutes: int, hour: datetime) -> Usual:
    """Who usually writes, and how much is usually copied, as known when `hour` began.

    Copies are counted among what is still stored: rollups outlive the documents.
    """
    contents = seen = 0
    for start, end in references(hour, minutes):
        sample = store.read_negatives(connection, view, series, start, end)
        contents, seen = contents + weigh(sample).contents, seen + sample.stored
    return Usual(view.source_parts(connection, series.stream, hour), genuine_part(contents, seen))
