"""A backtest as pictures, one a stream: negatives by hour, what was expected, alerts and labels over event time."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine

from alerts.baseline import fit
from alerts.series import ALL, HOUR, STREAMS, Rollups, Series, assemble, floor_hour
from alerts.settings import AlertsSettings
from alerts.views import EVERYDAY
from newsquake.backtest.labels import Window
from newsquake.backtest.outcome import Alert
from newsquake.errors import NewsquakeError
from newsquake.exports import whole_file

_NEGATIVE, _EXPECTED, _ALERT, _LABEL = "#c0392b", "#1f3a5f", "#e08e0b", "#7fb069"
_FITS = 1500  # baselines that a picture needs at most: beyond it, hours share one


def draw_streams(
    engine: Engine,
    span: tuple[datetime, datetime],
    alerts: Sequence[Alert],
    labels: Sequence[Window],
    settings: AlertsSettings,
    folder: Path,
) -> list[Path]:
    """Draw each stream that has messages into `folder` and return the files.

    Raises:
        NewsquakeError: a file cannot be written.
    """
    rollups = _hours(engine, span, settings)
    expected = _expected(rollups, span, settings)
    made = []
    for number, stream in enumerate(STREAMS):
        row = rollups.series.index(Series(ALL, stream))
        if not rollups.hour_n[row].any():
            continue
        first = rollups.hour_index(floor_hour(span[0]))
        mine = [alert for alert in alerts if stream in alert.streams]
        figure = _figure(stream, span, rollups.hour_negative[row, first:], expected[number], mine, labels)
        made.append(folder / f"{stream}.png")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(made[-1]) as out:
                figure.savefig(out, format="png")
        except OSError as error:
            raise NewsquakeError(f"{made[-1]} cannot be written: {error.strerror or error}") from error
    return made


def _hours(engine: Engine, span: tuple[datetime, datetime], settings: AlertsSettings) -> Rollups:
    """All topics together, by hour, with the history before them (which is empty)."""
    with engine.connect() as connection:
        counts = EVERYDAY.hours(connection, floor_hour(span[0]), floor_hour(span[1]) + HOUR)
    whole = [count._replace(name=ALL) for count in counts]
    first, last = floor_hour(span[0]), span[1]
    return assemble([], whole, first_minute=first, last_minute=last, days=settings.history_days)


def _expected(rollups: Rollups, span: tuple[datetime, datetime], settings: AlertsSettings) -> Any:
    """Expected negatives by stream and hour; [streams, hours]."""
    first, last = floor_hour(span[0]), floor_hour(span[1])
    hours = (last - first) // HOUR + 1
    step = max(1, -(-hours // _FITS))
    nothing = np.zeros(len(rollups.series), dtype=np.bool_)
    excluded = np.zeros(rollups.hour_n.shape, dtype=np.bool_)
    rows = [rollups.series.index(Series(ALL, stream)) for stream in STREAMS]
    found = [
        fit(rollups, first + number * HOUR, nothing, excluded, days=settings.history_days, guard=1).mean[rows]
        for number in range(0, hours, step)
    ]
    return np.repeat(np.array(found), step, axis=0)[:hours].T


def _figure(
    stream: str,
    span: tuple[datetime, datetime],
    negatives: Any,
    expected: Any,
    alerts: Sequence[Alert],
    labels: Sequence[Window],
) -> Any:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure

    times = [float(date2num(floor_hour(span[0]) + number * HOUR)) for number in range(len(negatives))]
    figure = Figure(figsize=(14, 4.2), layout="constrained", dpi=120)
    axes = figure.subplots()
    axes.bar(times, negatives, width=1 / 24, align="edge", linewidth=0, color=_NEGATIVE, label="negatives by hour")
    axes.step(times, expected, where="post", color=_EXPECTED, linewidth=1, label="expected")
    for colour, name, spans in (
        (_LABEL, "labelled", [(label.start, label.end) for label in labels]),
        (_ALERT, "alert", list(_lasting(alerts, span[1]))),
    ):
        for number, (start, end) in enumerate(spans):
            told = name if number == 0 else None
            axes.axvspan(date2num(start), date2num(end), label=told, color=colour, alpha=0.3, linewidth=0)
    axes.set_title(f"{stream}: {sum(negatives):,} negatives, {len(alerts)} alerts (UTC)", fontsize=11)
    axes.set_xlim(times[0], times[-1] + 1 / 24)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(locator := AutoDateLocator())
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _lasting(alerts: Sequence[Alert], end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """From each alert's opening to its end; at least an hour, which is what can be seen."""
    for alert in alerts:
        yield alert.opened_at, max(alert.resolved_at or end, alert.opened_at + timedelta(hours=1))
