"""What a rule would have done: a backtest's changes, episode by episode, with what would have been told of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.episodes import Change
from alerts.lifecycle import CALM, Standing, Telling, verdict
from alerts.rules import Rule
from alerts.series import ALL
from alerts.settings import AlertsSettings
from alerts.silences import Subject


@dataclass(frozen=True, slots=True)
class Told:
    """The event minute `at` in which people would have been told of a change, or None, and what `held` it back."""

    change: Change
    at: datetime | None
    held: str | None


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """An episode; times are event time (UTC), `until` is None where it goes on. `told` says when, or why not."""

    since: datetime
    until: datetime | None
    topics: tuple[str, ...]
    entities: tuple[str, ...]
    streams: tuple[str, ...]
    severity: str
    seen: int
    expected: float
    p_value: float
    told: str


def rehearse(changes: Sequence[Change], rule: Rule, settings: AlertsSettings) -> list[Rehearsed]:
    """The episodes in the order in which they opened, as if each change had been found in its own minute.

    Silences are left out: they belong to a time and not to a rule.
    """
    return [_one(own, rule, settings) for own in by_episode(changes)]


def by_episode(changes: Sequence[Change]) -> list[list[Change]]:
    """The changes of each episode in their order, the episodes in that of their first changes."""
    found: dict[int, list[Change]] = {}
    for change in changes:
        found.setdefault(id(change.episode), []).append(change)
    return list(found.values())


def tellings(changes: Sequence[Change], rule: Rule, settings: AlertsSettings) -> list[Told]:
    """What people would have been told of one episode before its end, and what not; its `changes` in order.

    A message stands for all that was held back until then. Silences are left out: they belong to a time and not to a
    rule.
    """
    found = [_told(change, rule, settings) for change in changes if change.notify and change.kind != "resolved"]
    return [
        told
        for index, told in enumerate(found)
        if told.at is None or not any(later.at is not None and later.at <= told.at for later in found[index + 1 :])
    ]


def _told(change: Change, rule: Rule, settings: AlertsSettings) -> Told:
    held = None
    for at in _chances(change, rule):
        decided = verdict(change.kind, at, _standing(change, at), Telling(rule, (), (), settings, at))
        if decided.told:
            return Told(change, at, held)
        held = held or decided.reason
    return Told(change, None, held)


def _chances(change: Change, rule: Rule) -> Iterator[datetime]:
    """The minutes in which it could be told: its own, and while the episode goes on, once it has lasted or after the
    quiet."""
    at, episode = change.at, change.episode
    lasted = episode.opened_at + timedelta(minutes=rule.pending_minutes)
    while True:
        yield at
        quiet = rule.quiet_hours.until(at) if rule.quiet_hours else None
        later = max(lasted, quiet or lasted)
        if later <= at or later - episode.last_seen_at >= CALM:
            return
        at = later


def _one(changes: Sequence[Change], rule: Rule, settings: AlertsSettings) -> Rehearsed:
    episode, window = changes[0].episode, changes[0].detail["window"]
    told = tellings(changes, rule, settings)
    return Rehearsed(
        since=episode.opened_at,
        until=episode.resolved_at,
        topics=tuple(dict.fromkeys(member.series.topic for member in episode.members)),
        entities=tuple(dict.fromkeys(m.series.entity for m in episode.members if m.series.entity != ALL)),
        streams=tuple(sorted({member.series.stream for member in episode.members})),
        severity=episode.severity,
        seen=window["counted"],
        expected=window["expected"],
        p_value=window["p_value"],
        told=_words(told),
    )


_DID = {"joined": "spread", "worsened": "became critical"}


def _words(told: Sequence[Told]) -> str:
    """When people would first have been told, or why they would not."""
    first = next((one for one in told if one.at is not None), None)
    if first is None or first.at is None:
        return f"never ({told[0].held})" if told else "never"
    if first.change.kind == "fired" and first.held is None:
        return "at once"
    when = f"{first.at:%Y-%m-%d %H:%M} UTC"
    return f"{when} ({first.held})" if first.held else f"{when}, when it {_DID[first.change.kind]}"


def _standing(change: Change, at: datetime) -> Standing:
    """The episode as it stood then; how long it had lasted is known from when it was last high."""
    episode = change.episode
    subject = Subject(tuple(member.series for member in episode.members), {}, {}, episode.observed)
    last_seen_at = min(episode.last_seen_at, at)
    return Standing(0, "firing", change.detail["severity"], subject, episode.opened_at, last_seen_at)
