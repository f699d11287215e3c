"""The life of an episode, as pure decisions: fired, joined, worsened, resolved.

While an episode is open every other series that starts to fire joins it: a bank run that shows in comments, in
headlines and in all topics together is one episode. It ends once all its series have been calm for
`resolve_after_minutes`; a run that dips for half an hour goes on. What holds the next one back is decided by
`alerts.inhibition`. Each rule has a book of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from alerts.assess import Spike
from alerts.evidence import Confirmed, critical
from alerts.inhibition import may_open, told_elsewhere
from alerts.reasons import reasons
from alerts.series import ALL, EVERYTHING, Part, Series
from alerts.settings import AlertsSettings

Kind = Literal["fired", "joined", "worsened", "resolved", "released", "repeated", "escalated"]
Examine = Callable[[Spike], Confirmed | None]


@dataclass(frozen=True, slots=True)
class Member:
    """A series of an episode and the event minute since when."""

    series: Series
    since: datetime


@dataclass(slots=True)
class Episode:
    """One row of `alerts`. `peak` is the most negatives that one of its windows held, copies included.

    `peak_window` is that window's length in minutes.
    """

    alert_id: int | None
    topic: str
    stream: str
    severity: str
    test: str
    window: int
    opened_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    expected: float
    observed: int
    messages: int
    p_value: float
    sources: int
    contents: int
    peak: int
    peak_window: int
    members: list[Member] = field(default_factory=list)
    reasons: dict[str, Any] = field(default_factory=dict)
    entity: str = ALL
    rule: str = "default"
    part: Part = EVERYTHING

    @property
    def leading(self) -> Series:
        """The series that it is named after."""
        return Series(self.topic, self.stream, self.entity)

    @property
    def series(self) -> list[Series]:
        """Its members' series."""
        return [member.series for member in self.members]

    @property
    def subjects(self) -> set[tuple[str, str]]:
        """Its topics and names; empty where only everything together stood out."""
        return {member.series.about for member in self.members if not member.series.whole}

    @property
    def topics(self) -> set[str]:
        """Its concrete topics."""
        return {member.series.topic for member in self.members} - {ALL}

    def has(self, series: Series) -> bool:
        return any(member.series == series for member in self.members)


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to an episode in event minute `at`; becomes an `alert_events` row.

    `detail` is the episode as it stood then, in JSON types: what messages are written from.
    """

    kind: Kind
    at: datetime
    episode: Episode
    notify: bool
    detail: dict[str, Any]


@dataclass(slots=True)
class Book:
    """All the state of a rule: the open episode and those that ended lately. Read from and written to the database.

    `others` are episodes of the rules before it, already evaluated further than the minute in question. `part` is what
    the rule counts.
    """

    rule: str = "default"
    part: Part = EVERYTHING
    current: Episode | None = None
    ended: list[Episode] = field(default_factory=list)
    others: list[Episode] = field(default_factory=list)

    def episodes(self) -> Iterable[Episode]:
        yield from self.others
        yield from self.ended
        if self.current is not None:
            yield self.current


def step(
    book: Book,
    minute: datetime,
    fires: Sequence[Spike],
    high: set[Series],
    peak: int,
    examine: Examine,
    settings: AlertsSettings,
) -> list[Change]:
    """Advance `book` by one minute and say what changed.

    Args:
        fires: the minute's spikes, strongest first, concrete topics before all topics.
        high: series that have not calmed down.
        peak: most negatives in one window of the open episode's series.
        examine: looks at the messages behind a spike; None where they do not bear it out.
    """
    episode = book.current
    if episode is None:
        return _open(book, minute, fires, examine, settings)
    changes = _join(book, episode, minute, fires, examine, settings)
    if any(member.series in high for member in episode.members):
        episode.last_seen_at = minute
        if peak > episode.peak:
            episode.peak, episode.peak_window = peak, max(settings.windows)
    changes += _worsen(episode, minute, fires, examine, settings)
    if minute - episode.last_seen_at >= timedelta(minutes=settings.resolve_after_minutes):
        episode.resolved_at = minute
        book.ended.append(episode)
        book.current = None
        changes.append(Change("resolved", minute, episode, settings.notify_resolved, _detail(episode)))
    return changes


def _open(
    book: Book, minute: datetime, fires: Sequence[Spike], examine: Examine, settings: AlertsSettings
) -> list[Change]:
    """Open an episode with the strongest confirmed spike; the minute's other spikes join it without a message."""
    for index, spike in enumerate(fires):
        confirmed = examine(spike)
        if confirmed is not None and may_open(book, confirmed, minute, settings):
            episode = book.current = _episode(book, confirmed, critical(confirmed, settings))
            joined = _join(book, episode, minute, fires[index + 1 :], examine, settings)
            fired = Change("fired", minute, episode, True, _detail(episode, confirmed))
            return [fired, *(replace(change, notify=False) for change in joined)]
    return []


def _join(
    book: Book,
    episode: Episode,
    minute: datetime,
    fires: Sequence[Spike],
    examine: Examine,
    settings: AlertsSettings,
) -> list[Change]:
    """Take in every series that newly fires; only a new topic or name is worth a message."""
    changes: list[Change] = []
    for spike in fires:
        if episode.has(spike.series):
            continue
        confirmed = examine(spike)
        if confirmed is not None:
            new = not spike.series.whole and spike.series.about not in episode.subjects
            episode.members.append(Member(spike.series, minute))
            episode.last_seen_at = minute
            if new and episode.leading.whole:
                episode.topic, episode.stream, episode.entity = spike.series
            worth = new and not told_elsewhere(book, confirmed, minute, settings)
            changes.append(Change("joined", minute, episode, worth, _detail(episode, confirmed)))
    return changes


def _worsen(
    episode: Episode, minute: datetime, fires: Sequence[Spike], examine: Examine, settings: AlertsSettings
) -> list[Change]:
    """Escalate from warning to critical, once."""
    if episode.severity == "critical":
        return []
    for spike in fires:
        large = spike.observed >= settings.critical_negative and spike.p_value <= settings.critical_p_value
        confirmed = examine(spike) if large and episode.has(spike.series) else None
        if confirmed is not None and critical(confirmed, settings):
            episode.severity = "critical"
            _describe(episode, confirmed)
            return [Change("worsened", minute, episode, True, _detail(episode, confirmed))]
    return []


def told_again(kind: Kind, at: datetime, episode: Episode, now: dict[str, Any]) -> Change:
    """The change that tells of an episode once more; `now` are its newest counts, in JSON types."""
    return Change(kind, at, episode, True, {**_detail(episode), "now": now})


def _episode(book: Book, confirmed: Confirmed, is_critical: bool) -> Episode:
    spike, evidence = confirmed.spike, confirmed.evidence
    return Episode(
        alert_id=None,
        topic=spike.series.topic,
        stream=spike.series.stream,
        severity="critical" if is_critical else "warning",
        test=spike.test,
        window=spike.window,
        opened_at=spike.minute,
        last_seen_at=spike.minute,
        resolved_at=None,
        expected=spike.expected,
        observed=evidence.effective,
        messages=spike.messages,
        p_value=confirmed.p_value,
        sources=evidence.sources,
        contents=evidence.contents,
        peak=spike.observed,
        peak_window=spike.window,
        members=[Member(spike.series, spike.minute)],
        reasons=reasons(confirmed, book.part),
        entity=spike.series.entity,
        rule=book.rule,
        part=book.part,
    )


def _describe(episode: Episode, confirmed: Confirmed) -> None:
    """Let the row tell of a graver window than the one that opened it."""
    spike, evidence = confirmed.spike, confirmed.evidence
    episode.test, episode.window = spike.test, spike.window
    episode.expected, episode.messages, episode.p_value = spike.expected, spike.messages, confirmed.p_value
    episode.observed, episode.sources, episode.contents = evidence.effective, evidence.sources, evidence.contents
    episode.reasons = reasons(confirmed, episode.part)


def _detail(episode: Episode, confirmed: Confirmed | None = None) -> dict[str, Any]:
    """The episode as it stands, and the window that made the change."""
    return {
        "severity": episode.severity,
        "opened_at": episode.opened_at.isoformat(),
        "last_seen_at": episode.last_seen_at.isoformat(),
        "opening": dict(zip(("topic", "stream"), episode.members[0].series[:2], strict=True)),
        "topics": list(dict.fromkeys(member.series.topic for member in episode.members)),
        "streams": sorted({member.series.stream for member in episode.members}),
        "entities": list(dict.fromkeys(m.series.entity for m in episode.members if m.series.entity != ALL)),
        "languages": list(episode.part.languages),
        "source_patterns": list(episode.part.sources),
        "peak": episode.peak,
        "window": episode.reasons if confirmed is None else reasons(confirmed, episode.part),
    }
