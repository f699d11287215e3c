"""What evaluation reads and writes: the cursor, partitions' progress, episodes, events and the outbox.

All of it belongs to one transaction, which the caller opens. Times in the database are UTC.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.dialects import postgresql

from alerts.episodes import Book, Change, Episode, Member
from alerts.evidence import Document, Sample
from alerts.lifecycle import Telling, Verdict, verdict
from alerts.message import Message, compose
from alerts.payload import payload_of
from alerts.rules import Rule, owner
from alerts.series import MINUTE, Part, Series
from alerts.standings import read_standings, series_of
from alerts.views import View
from alerts.views.parts import published, scored_documents
from alerts.watermark import Progress
from storage.tables import (
    alert_cursor,
    alert_events,
    alerts,
    documents,
    notifications,
    scores,
    sentiment_minute,
    stream_progress,
)

_SAMPLE = 300  # distinct texts of a window that are looked at
_TEXT = 800  # characters of each


def read_progress(connection: Connection) -> list[Progress]:
    """Every partition's progress."""
    table = stream_progress.c
    offsets = (table.topic, table.partition, table.next_offset, table.end_offset)
    query = select(*offsets, table.event_time, table.seen_at, table.updated_at)
    return [Progress(*row) for row in connection.execute(query.order_by(table.topic, table.partition))]


def lock_cursor(connection: Connection) -> datetime | None:
    """The next minute to evaluate, its row locked to the end of the transaction; None while there are no rollups.

    The first call starts at the earliest rollup.
    """
    known = select(alert_cursor.c.next_minute).with_for_update()
    found: datetime | None = connection.execute(known).scalar_one_or_none()
    if found is None:
        earliest = connection.execute(select(func.min(sentiment_minute.c.bucket))).scalar_one()
        if earliest is not None:
            first = postgresql.insert(alert_cursor).values(only_row=True, next_minute=earliest)
            connection.execute(first.on_conflict_do_nothing())
            found = connection.execute(known).scalar_one()
    return found


def move_cursor(connection: Connection, minute: datetime) -> None:
    """Everything before `minute` has been evaluated."""
    connection.execute(update(alert_cursor).values(next_minute=minute))


def next_minute(connection: Connection, cursor: datetime, window: int) -> datetime | None:
    """The first minute from `cursor` on whose longest window holds a rollup; None where none does."""
    bucket = sentiment_minute.c.bucket
    query = select(func.min(bucket)).where(bucket > cursor - window * MINUTE)
    found = connection.execute(query).scalar_one()
    return None if found is None else max(cursor, found)


def read_negatives(
    connection: Connection, view: View, series: Series, start: datetime, end: datetime, *, late: timedelta | None = None
) -> Sample:
    """Negatives of a view's series published from `start` up to `end`: one for each content hash, the earliest.

    Above 300 of them the lowest hashes are taken: a sample that is fair, the same each time, and not for sale to
    whoever posts first or most. With `late`, those stored so long after their publication stay out.
    """
    doc, score = documents.c, scores.c
    wanted = [score.sentiment == "negative", *published(start, end), *view.written(series)]
    if late is not None:
        wanted.append(doc.received_at <= doc.published_at + late)
    written = func.concat_ws(" ", func.nullif(doc.title, ""), func.left(doc.text, _TEXT)).label("written")
    columns = (doc.published_at, doc.key, doc.source, doc.stream, doc.author, written, doc.entities, doc.content_hash)
    one_each = (
        select(*columns, score.score, score.topic, doc.url, func.count().over().label("stored"))
        .select_from(scored_documents())
        .where(*wanted)
        .ext(postgresql.distinct_on(doc.content_hash))
        .order_by(doc.content_hash, doc.published_at, doc.key)
        .subquery()
    )
    query = select(one_each, func.count().over()).order_by(one_each.c.content_hash).limit(_SAMPLE)
    rows = connection.execute(query).all()
    found = sorted((_document(tuple(row)) for row in rows), key=lambda document: (document.published_at, document.key))
    distinct, stored = (int(rows[0][-1]), int(rows[0].stored)) if rows else (0, 0)
    return Sample(tuple(found), distinct, stored)


def _document(row: Sequence[Any]) -> Document:
    published_at, key, source, stream, author, text, entities, content_hash, score, topic, url, *_ = row
    told = (published_at, str(key), source, stream, author, text, tuple(entities), int(content_hash), float(score))
    return Document(*told, topic=topic, url=url)


def read_books(
    connection: Connection, since: datetime, rules: Sequence[Rule]
) -> tuple[dict[str, Book], list[tuple[Episode, str]]]:
    """Each rule's open episode and those that ended after `since`; and open ones that no rule can go on with, and why.

    An episode belongs to the rule that owns its leading series now, so that a rule may be renamed or moved meanwhile.
    """
    table = alerts.c
    query = select(alerts).where((table.state != "resolved") | (table.resolved_at >= since)).order_by(table.alert_id)
    books = {rule.name: Book(rule=rule.name, part=rule.part) for rule in rules}
    strays: list[tuple[Episode, str]] = []
    for row in connection.execute(query):
        episode = episode_of(row)
        rule = owner(rules, episode.leading, episode.part)
        book = books[rule.name] if rule else Book(current=episode)
        if episode.resolved_at is not None:
            book.ended.append(episode)
        elif book.current is None:
            book.current = episode
        else:
            why = f"alert {book.current.alert_id} of the same rule goes on" if rule else "no rule watches it any more"
            strays.append((episode, why))
    return books, strays


def close_strays(connection: Connection, strays: Sequence[tuple[Episode, str]], at: datetime, now: datetime) -> None:
    """End episodes that no rule can go on with, without a message."""
    for episode, why in strays:
        where = alerts.c.alert_id == episode.alert_id
        connection.execute(update(alerts).where(where).values(state="resolved", resolved_at=at, owed_since=None))
        assert episode.alert_id is not None
        record(connection, episode.alert_id, "resolved", at, {}, now, note=why)


def episode_of(row: Row[Any]) -> Episode:
    reasons = dict(row.reasons)
    members = [Member(series_of(item), datetime.fromisoformat(item["since"])) for item in row.members]
    return Episode(
        alert_id=row.alert_id,
        topic=row.topic,
        stream=row.stream,
        severity=row.severity,
        test=row.test,
        window=row.window_minutes,
        opened_at=row.opened_at,
        last_seen_at=row.last_seen_at,
        resolved_at=row.resolved_at,
        expected=row.expected,
        observed=row.observed,
        messages=row.messages,
        p_value=row.p_value,
        sources=row.sources,
        contents=row.contents,
        peak=int(reasons.pop("peak", row.observed)),
        peak_window=int(reasons.pop("peak_window", row.window_minutes)),
        members=members,
        reasons=reasons,
        entity=row.entity,
        rule=row.rule,
        part=Part(tuple(row.languages), tuple(row.source_patterns)),
    )


def save(connection: Connection, book: Book, changes: Sequence[Change], telling: Telling) -> None:
    """Write the episodes that changed, an event for each change, and its notifications for the rule's channels."""
    touched = {id(change.episode): change.episode for change in changes}
    if book.current is not None:
        touched[id(book.current)] = book.current
    for episode in touched.values():
        _save_episode(connection, episode, telling)
    for change in changes:
        alert_id = change.episode.alert_id
        assert alert_id is not None
        event_id = record(connection, alert_id, change.kind, change.at, change.detail, telling.now)
        if change.notify:
            standing = read_standings(connection, alert_id)[0]
            decided = verdict(change.kind, change.at, standing, telling)
            tell(connection, event_id, change, decided, telling.route(standing), telling)


def record(
    connection: Connection,
    alert_id: int,
    kind: str,
    at: datetime,
    detail: dict[str, Any],
    now: datetime,
    *,
    actor: str | None = None,
    note: str | None = None,
) -> int:
    """Write an audit row of event minute `at`; its number."""
    values = {"alert_id": alert_id, "at": at, "kind": kind, "detail": detail, "recorded_at": now}
    event = insert(alert_events).values(**values, actor=actor, note=note)
    event_id: int = connection.execute(event.returning(alert_events.c.event_id)).scalar_one()
    return event_id


def tell(
    connection: Connection,
    event_id: int,
    change: Change,
    decided: Verdict,
    channels: Sequence[str],
    telling: Telling,
) -> None:
    """Put a change into the outbox for these channels, and note on its episode that it is told, or owed."""
    now = telling.now
    if channels:
        payload = payload_of(change, event_id, telling.rule)
        rows = _notifications(event_id, compose(change, telling.rule.language), payload, decided, channels, now)
        connection.execute(insert(notifications), rows)
    table = alerts.c
    values: dict[str, Any] = {}
    if decided.told and change.kind != "resolved":
        values = {"told_at": func.coalesce(table.told_at, now), "last_told_at": now, "owed_since": None}
    elif decided.owed:
        values = {"owed_since": func.coalesce(table.owed_since, now)}
    if values:
        connection.execute(update(alerts).where(table.alert_id == change.episode.alert_id).values(**values))


def _save_episode(connection: Connection, episode: Episode, telling: Telling) -> None:
    """Insert or update; an acknowledged episode stays so until it is resolved."""
    values: dict[str, Any] = {
        "rule": telling.rule.name,
        "topic": episode.topic,
        "stream": episode.stream,
        "entity": episode.entity,
        "languages": list(episode.part.languages),
        "source_patterns": list(episode.part.sources),
        "severity": episode.severity,
        "test": episode.test,
        "window_minutes": episode.window,
        "last_seen_at": episode.last_seen_at,
        "resolved_at": episode.resolved_at,
        "expected": episode.expected,
        "observed": episode.observed,
        "messages": episode.messages,
        "p_value": episode.p_value,
        "sources": episode.sources,
        "contents": episode.contents,
        "members": [{**member.series._asdict(), "since": _iso(member.since)} for member in episode.members],
        "reasons": {**episode.reasons, "peak": episode.peak, "peak_window": episode.peak_window},
    }
    if episode.resolved_at is not None:
        values |= {"state": "resolved", "owed_since": None}
    if episode.alert_id is not None:
        connection.execute(update(alerts).where(alerts.c.alert_id == episode.alert_id).values(**values))
        return
    first = {"state": "firing", "opened_at": episode.opened_at, "created_at": telling.now}
    query = insert(alerts).values(**{**first, **values}).returning(alerts.c.alert_id)
    episode.alert_id = connection.execute(query).scalar_one()


def _notifications(
    event_id: int,
    message: Message,
    payload: dict[str, Any],
    decided: Verdict,
    channels: Sequence[str],
    now: datetime,
) -> list[dict[str, Any]]:
    """Outbox rows; muted, with the reason, where nobody is to be told."""
    row = {
        "event_id": event_id,
        "state": "pending" if decided.told else "muted",
        "reason": decided.reason,
        "title": message.title,
        "body": message.body,
        "payload": payload,
        "attempts": 0,
        "next_attempt_at": decided.not_before or now,
        "created_at": now,
    }
    return [{**row, "channel": channel} for channel in channels]


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
