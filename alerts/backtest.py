"""What would have fired: the same evaluation over stored history, leaving no trace in it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from alerts.episodes import Book, Change
from alerts.evaluate import advance
from alerts.rules import DEFAULT, Rule
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
    rules: Sequence[Rule] = (DEFAULT,),
) -> list[Change]:
    """The changes that evaluating the minutes from `start` up to, not including, `end` by `rules` would have made.

    Starts without episodes; its baselines know the history before `start`. Needs the documents of spikes to be stored.
    `on_minute` is told now and then which minute is next. Changes are in order within a chunk of minutes and a rule.
    """
    books = {rule.name: Book(rule=rule.name, part=rule.part) for rule in rules}
    longest = max(HOUR // MINUTE, *(max(rule.apply(settings).windows) for rule in rules))
    changes = list[Change]()
    minute, stop = floor_minute(start), floor_minute(end)
    with engine.connect() as connection:
        while minute < stop:
            if all(book.current is None for book in books.values()):
                minute = next_minute(connection, minute, longest) or stop
            until = min(stop, minute + timedelta(minutes=settings.chunk_minutes))
            if minute < until:
                for _, found in advance(connection, rules, books, minute, until, settings):
                    changes += found
            minute = max(until, minute + MINUTE)
            on_minute(minute)
    return changes
