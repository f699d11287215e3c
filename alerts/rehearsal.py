"""What a rule would have done: a backtest's changes, episode by episode, with what would have been told of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.episodes import Change, Episode
from alerts.lifecycle import Standing, Telling, verdict
from alerts.rules import Rule
from alerts.series import ALL
from alerts.settings import AlertsSettings
from alerts.silences import Subject


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
    episodes = {id(change.episode): change.episode for change in changes}
    return [
        _one(episode, [change for change in changes if change.episode is episode], rule, settings)
        for episode in episodes.values()
    ]


def _one(episode: Episode, changes: Sequence[Change], rule: Rule, settings: AlertsSettings) -> Rehearsed:
    held = None
    told = "never"
    for change in changes:
        if not change.notify or change.kind == "resolved":
            continue
        standing = _standing(episode, change)
        decided = verdict(change.kind, change.at, standing, Telling(rule, (), (), settings, change.at))
        if decided.told:
            told = (
                "at once" if change.kind == "fired" else f"{change.at:%Y-%m-%d %H:%M} UTC, when it {_DID[change.kind]}"
            )
            break
        held = held or decided.reason
    window = changes[0].detail["window"]
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
        told=told if held is None else f"{held}; {told if told != 'never' else 'afterwards, if it still goes on'}",
    )


_DID = {"joined": "spread", "worsened": "became critical"}


def _standing(episode: Episode, change: Change) -> Standing:
    """As it stood then, but for how long it lasted: that is known by now, and is what `pending_minutes` waits for."""
    subject = Subject(tuple(member.series for member in episode.members), {}, {}, episode.observed)
    severity = change.detail["severity"]
    return Standing(0, "firing", severity, subject, episode.opened_at, episode.last_seen_at)
