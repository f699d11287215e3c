"""What the clock asks of open episodes: said again, escalated, told late. Decided by `alerts.lifecycle.due`.

One transaction holds the episodes' rows, asks, and writes audit rows, outbox rows and where the episodes stand then;
a second scheduler that asks at the same moment waits for the rows and finds nothing left to do.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from alerts import store
from alerts.channels import channel_labels
from alerts.episodes import Episode, told_again
from alerts.lifecycle import Due, Standing, Telling, Verdict, due
from alerts.rules import DEFAULT, Rule, owner
from alerts.series import ALL, MINUTE
from alerts.settings import AlertsSettings
from alerts.silences import read_silences
from alerts.standings import read_standings
from alerts.views import view_of
from storage.tables import alert_cursor, alerts


def wind(engine: Engine, settings: AlertsSettings, rules: Sequence[Rule], now: datetime) -> int:
    """Do what is due at the wall clock `now`; how many steps that was."""
    steps = 0
    with engine.begin() as connection:
        cursor = select(alert_cursor.c.next_minute).with_for_update()  # evaluation locks it before its alerts, too
        reached = connection.execute(cursor).scalar_one_or_none()
        standings = read_standings(connection) if reached is not None else []
        silences = read_silences(connection, now) if standings else []
        for stored in standings:
            assert reached is not None
            standing = replace(stored, calm=reached - stored.last_seen_at)
            episode = _episode(connection, standing)
            rule = owner(rules, episode.leading, episode.part) or DEFAULT
            telling = Telling(rule, silences, channel_labels(settings), settings, now)
            for step in due(standing, telling):
                _take(connection, step, standing, episode, telling, reached)
                steps += 1
    return steps


def _episode(connection: Connection, standing: Standing) -> Episode:
    return store.episode_of(connection.execute(select(alerts).where(alerts.c.alert_id == standing.alert_id)).one())


def _take(
    connection: Connection, step: Due, standing: Standing, episode: Episode, telling: Telling, reached: datetime
) -> None:
    """Write one step down; `reached` is the event-time minute that evaluation has come to."""
    now, detail = telling.now, {"silence_id": step.silence_id} if step.silence_id else {}
    if step.step == "silenced" or step.step == "unsilenced":
        store.record(connection, standing.alert_id, step.step, reached, detail, now, note=step.note)
        _set(connection, standing, {"silence_id": step.silence_id})
        return
    change = told_again(step.step, reached, episode, _latest(connection, episode, reached))
    event_id = store.record(connection, standing.alert_id, step.step, reached, change.detail, now, note=step.note)
    channels = telling.second_route if step.step == "escalated" else telling.route(standing)
    store.tell(connection, event_id, change, Verdict(True), channels, telling)
    if step.step == "escalated":
        _set(connection, standing, {"escalated_at": now})


def _latest(connection: Connection, episode: Episode, reached: datetime) -> dict[str, Any]:
    """The counts of the episode's leading series in a window that ends with the newest minute evaluated."""
    start = reached - episode.window * MINUTE
    view = view_of(episode.part, () if episode.entity == ALL else (episode.entity,))
    messages, negatives = view.count(connection, episode.leading, start, reached)
    return {
        "until": reached.isoformat(),
        "window_minutes": episode.window,
        "messages": messages,
        "negatives": negatives,
    }


def _set(connection: Connection, standing: Standing, values: dict[str, Any]) -> None:
    connection.execute(update(alerts).where(alerts.c.alert_id == standing.alert_id).values(**values))
