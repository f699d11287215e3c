"""Who is told of an episode, and when: pure decisions over what is stored and the wall clock.

`verdict` judges a change in the moment in which evaluation finds it: told, or muted for a reason. What is muted because
of a silence, quiet hours, `pending_minutes` or its age is owed: `due` tells it once nothing holds it back and the
episode still goes on. `due` also repeats, escalates and notes silences that begin and end. Whatever `due` asks for is
written together with its audit row, and answers the next question otherwise: asked twice, it asks for nothing more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from alerts.rules import Rule
from alerts.settings import AlertsSettings
from alerts.silences import Silence, Subject, covering

Step = Literal["silenced", "unsilenced", "released", "repeated", "escalated"]

CALM = timedelta(minutes=15)  # after so long it may be over: saying again that it goes on would be wrong


@dataclass(frozen=True, slots=True)
class Standing:
    """What is stored about an open episode. `opened_at` and `last_seen_at` are event time, the others wall clock.

    `calm`: event time since it was last high, as far as it has been evaluated.
    """

    alert_id: int
    state: str
    severity: str
    subject: Subject
    opened_at: datetime
    last_seen_at: datetime
    told_at: datetime | None = None
    last_told_at: datetime | None = None
    owed_since: datetime | None = None
    escalated_at: datetime | None = None
    silence_id: int | None = None
    calm: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Telling:
    """By what it is decided: the rule, the silences, the labels of all channels, the settings, the wall clock."""

    rule: Rule
    silences: Sequence[Silence]
    channels: Sequence[str]
    settings: AlertsSettings
    now: datetime

    def route(self, standing: Standing) -> list[str]:
        """The labels of the rule's channels; once it has been escalated, those of the second route, too."""
        first = self.rule.channels or self.channels
        return list(dict.fromkeys([*first, *(self.second_route if standing.escalated_at else ())]))

    @property
    def second_route(self) -> Sequence[str]:
        return self.rule.escalation.channels if self.rule.escalation else ()

    @property
    def max_age(self) -> timedelta | None:
        """How old minutes may be that are told; None in a replay."""
        return None if self.settings.replay else timedelta(minutes=self.settings.max_age_minutes)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a change is told at once, with `reason` where it is not, and whether it is `owed` then.

    `not_before`: the message waits until then as it is written.
    """

    told: bool
    reason: str | None = None
    owed: bool = False
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A step that is due; `note` says why, for the audit row."""

    step: Step
    note: str
    silence_id: int | None = None

    @property
    def tells(self) -> bool:
        """Whether somebody gets a message."""
        return self.step in ("released", "repeated", "escalated")


def verdict(kind: str, at: datetime, standing: Standing, telling: Telling) -> Verdict:
    """Judge the change `kind` of event minute `at`; `standing` is the episode with the change in it."""
    rule, now, max_age = telling.rule, telling.now, telling.max_age
    ends, open_still = kind == "resolved", standing.state != "resolved"
    if max_age is not None and now - at > max_age and not (ends and standing.told_at is not None):
        return Verdict(False, f"its minutes were more than {_span(max_age)} old", owed=open_still)
    silence = covering(telling.silences, standing.subject, now)
    if silence is not None:
        return Verdict(False, _silenced(silence), owed=open_still)
    quiet = _quiet(standing, rule, now)
    if ends:
        if standing.told_at is None:
            return Verdict(False, "nobody had been told that it began")
        return Verdict(True, not_before=quiet)
    held = _held(standing, rule, quiet)
    return Verdict(held is None, held, owed=held is not None and open_still)


def due(standing: Standing, telling: Telling) -> list[Due]:
    """The steps that the clock asks for by `telling.now`; none of a resolved episode."""
    rule, now, max_age = telling.rule, telling.now, telling.max_age
    if standing.state == "resolved":
        return []
    silence = covering(telling.silences, standing.subject, now)
    steps = _silence_steps(standing, silence)
    if silence is not None or _held(standing, rule, _quiet(standing, rule, now)):
        return steps
    fresh = standing.calm < CALM and (max_age is None or now - standing.last_seen_at <= max_age)
    if standing.owed_since is not None and fresh:
        steps.append(Due("released", f"held back since {_minute(standing.owed_since)}"))
    if standing.state == "acknowledged":
        return steps
    if standing.owed_since is None and fresh and _repeats(standing, rule, now):
        steps.append(Due("repeated", f"not acknowledged; told again every {rule.repeat_hours:g} h"))
    if _escalates(standing, rule, now):
        assert rule.escalation is not None
        steps.append(Due("escalated", f"not acknowledged within {rule.escalation.after_minutes} min"))
    return steps


def _silence_steps(standing: Standing, silence: Silence | None) -> list[Due]:
    if silence is not None and silence.silence_id != standing.silence_id:
        return [Due("silenced", _silenced(silence), silence.silence_id)]
    if silence is None and standing.silence_id is not None:
        return [Due("unsilenced", f"silence {standing.silence_id} no longer covers it")]
    return []


def _held(standing: Standing, rule: Rule, quiet: datetime | None) -> str | None:
    """Why nobody is to be told now, silences aside."""
    lasted = standing.last_seen_at - standing.opened_at
    if lasted < timedelta(minutes=rule.pending_minutes):
        return f"pending: told once it has lasted {rule.pending_minutes} min"
    return None if quiet is None else f"quiet hours of rule {rule.name} until {_minute(quiet)}"


def _quiet(standing: Standing, rule: Rule, now: datetime) -> datetime | None:
    """Until when quiet hours hold the episode back; critical ones go through."""
    if rule.quiet_hours is None or standing.severity == "critical":
        return None
    return rule.quiet_hours.until(now)


def _repeats(standing: Standing, rule: Rule, now: datetime) -> bool:
    told = standing.last_told_at
    return bool(rule.repeat_hours) and told is not None and now - told >= timedelta(hours=rule.repeat_hours)


def _escalates(standing: Standing, rule: Rule, now: datetime) -> bool:
    if rule.escalation is None or standing.told_at is None or standing.escalated_at is not None:
        return False
    return now - standing.told_at >= timedelta(minutes=rule.escalation.after_minutes)


def _silenced(silence: Silence) -> str:
    said = f": {silence.comment}" if silence.comment else ""
    return f"silence {silence.silence_id} by {silence.author} until {_minute(silence.ends_at)}{said}"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M %Z}"


def _span(span: timedelta) -> str:
    return f"{span // timedelta(minutes=1)} min"
