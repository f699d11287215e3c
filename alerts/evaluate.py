"""Evaluation: every settled minute once, in order, from the stored cursor.

`evaluate` is a deterministic function of the rollups and of the episodes so far; `tick` runs it over what has settled
since the last tick and writes alerts, events, notifications and the cursor in one transaction for each chunk. However
late or often ticks come, and whatever dies between them, the result is the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from alerts import store
from alerts.assess import Hour, Spike, Windows, assess, low_floor
from alerts.baseline import Flags, fit
from alerts.channels import channel_labels
from alerts.episodes import Book, Change, Episode, Examine, step
from alerts.evidence import Confirmed
from alerts.examine import examiner
from alerts.lifecycle import Telling
from alerts.rules import DEFAULT, Rule, owner
from alerts.series import ALL, EVERYTHING, HOUR, MINUTE, Rollups, assemble, floor_hour
from alerts.settings import AlertsSettings
from alerts.silences import read_silences
from alerts.slow import Slow
from alerts.slow import look as look_slowly
from alerts.views import View
from alerts.watermark import settled_until

_TEACHES_AFTER = timedelta(hours=24)  # an episode that lasts longer is the new normal


@dataclass(frozen=True, slots=True)
class Summary:
    """What a tick did: event minutes evaluated, the cursor after it (None: no rollups yet), changes of alerts."""

    minutes: int
    next_minute: datetime | None
    changes: int


def evaluate(
    rollups: Rollups, start: datetime, end: datetime, book: Book, examine: Examine, settings: AlertsSettings
) -> list[Change]:
    """Advance `book` over the minutes from `start` up to, not including, `end`.

    `rollups` must reach back to the windows before `start` and to the history before its hour. Only counts of the
    judged minute and earlier are looked at, so that a range in one piece and minute by minute give the same changes.
    """
    windows = Windows(rollups, settings.windows)
    rows = {series: index for index, series in enumerate(rollups.series)}
    changes: list[Change] = []
    hour = floor_hour(start)
    while hour < end:
        first, last = max(hour, start), min(hour + HOUR, end)
        columns = slice(rollups.minute_index(first), rollups.minute_index(last))
        found = _look(rollups, windows, hour, columns, book, settings)
        slow = _look_slowly(rollups, hour, book, settings) if first == hour else None
        for offset in range(columns.stop - columns.start):
            minute = first + offset * MINUTE
            fires = [*found.fires.get(minute, []), *(slow.fires if slow is not None and minute == hour else ())]
            if book.current is None and not fires:
                continue
            # What fired in minutes is over when the minutes are calm, however long its windows of hours stay full.
            lasting = book.current is not None and book.current.window > max(settings.windows)
            if lasting and slow is None:
                slow = _look_slowly(rollups, hour, book, settings)
            column = columns.start + offset
            members = [rows[m.series] for m in book.current.members if m.series in rows] if book.current else []
            peak = int(windows.negative[:, members, column].max(initial=0))
            high = found.high.get(minute, set()) | (slow.high if slow is not None and lasting else set())
            changes += step(book, minute, fires, high, peak, examine, settings)
        hour += HOUR
    return changes


def _look(
    rollups: Rollups, windows: Windows, hour: datetime, columns: slice, book: Book, settings: AlertsSettings
) -> Hour:
    """Assess the minutes of one hour, unless too few negatives are in any of them."""
    floor = settings.min_negative if book.current is None else low_floor(settings)
    wanted = np.asarray(windows.negative[:, :, columns].max(axis=(0, 2), initial=0) >= floor)
    if not wanted.any():
        return Hour()
    guard = -(-max(settings.windows) // 60)
    excluded = _taught_nothing(rollups, hour, book, settings)
    baseline = fit(rollups, hour, wanted, excluded, days=settings.history_days, guard=guard)
    return assess(rollups, windows, baseline, columns, settings)


def _look_slowly(rollups: Rollups, hour: datetime, book: Book, settings: AlertsSettings) -> Slow:
    """The windows of hours that end where `hour` begins.

    Their baselines learn nothing about any series from the hours of an episode: what moves one topic moves its
    neighbours, and a window that just missed being told would hide the next one.
    """
    hours = _taught_nothing(rollups, hour, book, settings).any(axis=0)
    excluded = np.broadcast_to(hours, rollups.hour_n.shape)
    return look_slowly(rollups, hour, excluded, _told(rollups, hour, book), settings)


def _told(rollups: Rollups, hour: datetime, book: Book) -> Flags:
    """Hours that alerts which ended before `hour` were about, [series, hours]: no slow window tells of them again."""
    told = np.zeros(rollups.hour_n.shape, dtype=np.bool_)
    for episode in book.episodes():
        if episode.resolved_at is None or episode.resolved_at >= hour:
            continue
        first = rollups.hour_index(floor_hour(episode.opened_at - episode.window * MINUTE))
        last = rollups.hour_index(floor_hour(episode.resolved_at)) + 1
        about = {member.series.about for member in episode.members} | {(ALL, ALL)}
        touched = [series.about in about for series in rollups.series]
        told[np.array(touched), max(first, 0) : max(last, 0)] = True
    return told


def _taught_nothing(rollups: Rollups, hour: datetime, book: Book, settings: AlertsSettings) -> Flags:
    """Hours of history inside episodes, [series, hours]; as known when `hour` began, wherever a chunk was cut."""
    excluded = np.zeros(rollups.hour_n.shape, dtype=np.bool_)
    for episode in book.episodes():
        if episode.opened_at >= hour:
            continue
        over = episode.resolved_at is not None and episode.resolved_at < hour
        until = episode.resolved_at if over and episode.resolved_at is not None else hour
        until = min(until, episode.opened_at + _TEACHES_AFTER)
        first = rollups.hour_index(floor_hour(episode.opened_at - max(settings.windows) * MINUTE))
        last = rollups.hour_index(floor_hour(until)) + 1
        about = {member.series.about for member in episode.members if member.since < hour} | {(ALL, ALL)}
        touched = [series.about in about for series in rollups.series]
        excluded[np.array(touched), max(first, 0) : max(last, 0)] = True
    return excluded


def load(
    connection: Connection, view: View, start: datetime, end: datetime, book: Book, settings: AlertsSettings
) -> Rollups:
    """The rollups that `evaluate` needs for these minutes; history only where some window could matter."""
    first, last = start - (max(settings.windows) - 1) * MINUTE, end - MINUTE
    a_full_hour = floor_hour(last) >= start
    floor = settings.min_negative if book.current is None else low_floor(settings)
    # Windows of hours want a negative within the shortest of them.
    since, recent = (
        min(first, start - hours * HOUR) for hours in (settings.slow_windows[-1], settings.slow_windows[0])
    )
    names = view.names(connection, since if a_full_hour else first, end, floor, recent if a_full_hour else first)
    if names is not None and book.current is not None:
        names = sorted({*names, *(series.entity for series in book.current.series)} - {ALL})
    minutes = view.minutes(connection, first, end, names)
    bounds: dict[str, Any] = {"first_minute": first, "last_minute": last, "of_names": view.of_names}
    rollups = assemble(minutes, [], **bounds, days=settings.history_days)
    calm = book.current is None and not a_full_hour
    if calm and (
        (names is not None and not names) or Windows(rollups, settings.windows).busiest.max(initial=0) < floor
    ):
        return rollups
    hours = view.hours(connection, rollups.first_hour, floor_hour(end), names)
    return assemble(minutes, hours, **bounds, days=settings.history_days, known=view.known(connection))


def tick(
    engine: Engine,
    settings: AlertsSettings,
    now: datetime,
    *,
    rules: Sequence[Rule] = (DEFAULT,),
    stopping: Callable[[], bool] = lambda: False,
) -> Summary:
    """Evaluate everything that has settled by `now`, a chunk a transaction; `stopping` is asked between chunks.

    Each of the `rules` judges the series that it owns; no rule, no alert.

    Safe to run twice at once: the cursor's row is locked. Raises what SQLAlchemy raises where the database is gone; the
    chunk is then evaluated again.
    """
    minutes = changes = 0
    reached: datetime | None = None
    while not stopping():
        with engine.begin() as connection:
            done = _chunk(connection, settings, rules, now)
        if done is None:
            break
        minutes, changes, reached = minutes + done.minutes, changes + done.changes, done.next_minute
        if not done.minutes:
            break
    return Summary(minutes, reached, changes)


def _chunk(connection: Connection, settings: AlertsSettings, rules: Sequence[Rule], now: datetime) -> Summary | None:
    """One transaction's worth of minutes; None where nothing can be said yet, no minutes where all is done."""
    settled = settled_until(
        store.read_progress(connection),
        now,
        max_lateness=timedelta(seconds=settings.max_lateness_seconds),
        max_age=timedelta(minutes=settings.max_age_minutes),
        replay=settings.replay,
    )
    cursor = store.lock_cursor(connection) if settled is not None else None
    if cursor is None or settled is None:
        return None
    if cursor >= settled:
        return Summary(0, cursor, 0)
    books, strays = store.read_books(connection, cursor - timedelta(days=settings.history_days), rules)
    store.close_strays(connection, strays, cursor, now)
    start = cursor
    if all(book.current is None for book in books.values()):
        longest = max(
            (HOUR // MINUTE, *(max(rule.apply(settings).windows) for rule in rules))
        )  # no full hour is skipped
        start = store.next_minute(connection, cursor, longest) or settled
    end = min(settled, start + settings.chunk_minutes * MINUTE)
    silences = read_silences(connection, now)
    changes = 0
    for rule, found in advance(connection, rules, books, start, end, settings) if start < end else ():
        telling = Telling(rule, silences, channel_labels(settings), settings, now)
        store.save(connection, books[rule.name], found, telling)
        changes += len(found)
    store.move_cursor(connection, end)
    return Summary((end - cursor) // MINUTE, end, changes)


def advance(
    connection: Connection,
    rules: Sequence[Rule],
    books: Mapping[str, Book],
    start: datetime,
    end: datetime,
    settings: AlertsSettings,
) -> Iterator[tuple[Rule, list[Change]]]:
    """What each rule makes of the minutes from `start` up to, not including, `end`; advances its book, by its name.

    Rules know the episodes of those before them, but for rules of a part of the messages, which stand alone.
    """
    before: list[Episode] = []
    for rule in rules:
        book, alone = books[rule.name], rule.part != EVERYTHING
        book.others = [] if alone else list(before)
        yield rule, _judge(connection, rules, rule, book, start, end, settings)
        before += [] if alone else [*book.ended, *([book.current] if book.current else [])]


def _judge(
    connection: Connection,
    rules: Sequence[Rule],
    rule: Rule,
    book: Book,
    start: datetime,
    end: datetime,
    settings: AlertsSettings,
) -> list[Change]:
    own = rule.apply(settings)
    look = examiner(connection, rule.view, own)

    def examine(spike: Spike) -> Confirmed | None:
        return look(spike) if owner(rules, spike.series, rule.part) is rule else None

    return evaluate(load(connection, rule.view, start, end, book, own), start, end, book, examine, own)
