"""What a backtest found, against what was labelled: precision, recall, delay, false alerts. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

import msgspec

from alerts.episodes import Change, Episode
from alerts.rehearsal import by_episode, tellings
from alerts.rules import Rule
from alerts.series import ALL, MINUTE
from alerts.settings import AlertsSettings
from newsquake.backtest.labels import Window


class Alert(msgspec.Struct, frozen=True):
    """One alert as it was when it ended, or when the stream did. Times are UTC.

    `told_at` are the times at which people would have had a message about it, each the end of the minute that it is
    about; none where quiet hours or `pending_minutes` of its rule held it back until it was over. `label` names the
    window in which the first of them lies that lies in any; None without labels, too.
    """

    opened_at: datetime
    resolved_at: datetime | None
    topic: str
    topics: list[str]
    streams: list[str]
    severity: str
    test: str
    window_minutes: int
    observed: int
    expected: float
    messages: int
    p_value: float
    sources: int
    told_at: list[datetime]
    rule: str = "default"
    entity: str = "*"
    entities: list[str] = msgspec.field(default_factory=list)
    right: bool | None = None
    label: str | None = None


class Found(msgspec.Struct, frozen=True):
    """A labelled window and when people would first have been told within it; None where they were not.

    `covered`: whether the stream has any document in it; the others count for nothing.
    """

    name: str
    start: datetime
    end: datetime
    covered: bool
    told_at: datetime | None
    delay_minutes: float | None


class Verdict(msgspec.Struct, frozen=True):
    """Precision: alerts told of within a window, of all alerts told of. Recall: windows told of, of those covered.

    None where there is nothing to divide by. The delay is from a window's start, the median over the windows found.
    """

    windows: list[Found]
    precision: float | None
    recall: float | None
    median_delay_minutes: float | None
    false_alerts: int
    false_alerts_per_week: float


def alerts_of(changes: Sequence[Change], rules: Sequence[Rule], settings: AlertsSettings) -> list[Alert]:
    """The alerts that these changes made by the `rules`, in the order in which they opened, and of the rules."""
    by_name = {rule.name: rule for rule in rules}
    found = []
    for own in by_episode(changes):
        episode = own[0].episode
        told = tellings(own, by_name[episode.rule], settings)
        found.append(_alert(episode, sorted(one.at + MINUTE for one in told if one.at is not None)))
    return sorted(found, key=lambda alert: alert.opened_at)


def _alert(episode: Episode, told: list[datetime]) -> Alert:
    members = [member.series for member in episode.members]
    return Alert(
        opened_at=episode.opened_at,
        resolved_at=episode.resolved_at,
        topic=episode.topic,
        topics=sorted({series.topic for series in members}),
        streams=sorted({series.stream for series in members}),
        severity=episode.severity,
        test=episode.test,
        window_minutes=episode.window,
        observed=episode.observed,
        expected=episode.expected,
        messages=episode.messages,
        p_value=episode.p_value,
        sources=episode.sources,
        told_at=told,
        rule=episode.rule,
        entity=episode.entity,
        entities=sorted({series.entity for series in members} - {ALL}),
    )


def judge(
    alerts: Sequence[Alert], windows: Sequence[Window], covered: Sequence[datetime], weeks: float
) -> tuple[list[Alert], Verdict]:
    """The alerts with `right` and `label`, and the verdict.

    Args:
        covered: the days (their midnights, UTC) on which the stream has documents.
        weeks: how much time they are.
    """
    judged = [_marked(alert, windows) for alert in alerts]
    found = [_found(window, alerts, covered) for window in windows]
    counting = [window for window in found if window.covered]
    delays = [window.delay_minutes for window in counting if window.delay_minutes is not None]
    told = [alert for alert in judged if alert.told_at]
    false = sum(not alert.right for alert in told)
    verdict = Verdict(
        windows=found,
        precision=(len(told) - false) / len(told) if told else None,
        recall=len(delays) / len(counting) if counting else None,
        median_delay_minutes=median(delays) if delays else None,
        false_alerts=false,
        false_alerts_per_week=false / weeks if weeks else 0.0,
    )
    return judged, verdict


def _marked(alert: Alert, windows: Sequence[Window]) -> Alert:
    names = [window.name for at in alert.told_at for window in windows if window.start < at <= window.end]
    right = bool(names) if alert.told_at else None
    return msgspec.structs.replace(alert, right=right, label=names[0] if names else None)


def _found(window: Window, alerts: Sequence[Alert], covered: Sequence[datetime]) -> Found:
    told = min((at for alert in alerts for at in alert.told_at if window.start < at <= window.end), default=None)
    day = timedelta(days=1)
    return Found(
        name=window.name,
        start=window.start,
        end=window.end,
        covered=any(midnight < window.end and window.start < midnight + day for midnight in covered),
        told_at=told,
        delay_minutes=None if told is None else (told - window.start) / MINUTE,
    )
