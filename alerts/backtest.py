"""What would have fired: the same evaluation over stored history, leaving no trace in it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine

from alerts.episodes import Book, Change
from alerts.evaluate import evaluate, examiner, load
from alerts.series import HOUR, MINUTE
from alerts.settings import AlertsSettings
from alerts.store import next_minute
from alerts.watermark import floor_minute


def backtest(
    engine: Engine,
    settings: AlertsSettings,
    start: datetime,
    end: datetime,
    on_minute: Callable[[datetime], None] = lambda minute: None,
) -> list[Change]:
    """The changes that evaluating the minutes from `start` up to, not including, `end` would have made.

    Starts without episodes; its baselines know the history before `start`. Needs the documents of spikes to be stored.
    `on_minute` is told now and then which minute is next.
    """
    book, changes = Book(), list[Change]()
    minute, stop = floor_minute(start), floor_minute(end)
    with engine.connect() as connection:
        while minute < stop:
            if book.current is None:
                minute = next_minute(connection, minute, max(HOUR // MINUTE, *settings.windows)) or stop
            until = min(stop, minute + timedelta(minutes=settings.chunk_minutes))
            if minute < until:
                rollups = load(connection, minute, until, book, settings)
                changes += evaluate(rollups, minute, until, book, examiner(connection, settings), settings)
            minute = max(until, minute + MINUTE)
            on_minute(minute)
    return changes
