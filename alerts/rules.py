"""Rules: what is watched, how sure it must be, and who is told when. One shape for the TOML file and for database rows.

A rule overrides settings where it says something. Each series is judged by the first rule whose scope holds it, so that
two rules never tell of one thing twice; what no rule holds is not watched. Without any rule there is one, `default`,
which holds everything and overrides nothing.

Sensitivity is written as false alerts a month that may be expected. The tests hold a false discovery level per event
minute, over all series, windows and tests at once; where nothing is going on, that is the chance that the minute
fires at all (Benjamini and Hochberg 1995, section 2). So level = false alerts a month / minutes a month. Minutes side
by side share their windows and one episode takes in many of them: there will be fewer alerts than that, not more.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from alerts.errors import InvalidRule
from alerts.series import ALL, EVERYTHING, Part, Series
from alerts.settings import LONGEST_WINDOW, AlertsSettings
from alerts.views import View, view_of

MINUTES_A_MONTH = 365.25 / 12 * 1440
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ALONE = {  # what else a scope cannot be limited by, and why
    "entities": (("topics", "languages", "sources"), "a name is watched over all topics, languages and sources"),
    "sources": (("topics", "languages"), "counts by source are kept over all topics and languages"),
}

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")]
Text = Annotated[str, Meta(min_length=1, max_length=80)]
Entity = Annotated[str, Meta(min_length=1, max_length=200)]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}$")]
Window = Annotated[int, Meta(ge=1, le=LONGEST_WINDOW)]
Clock = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The series of a rule; what is empty does not limit it.

    Limited to topics, it does not watch all topics together; limited to a stream, not both streams together. With
    `entities` it watches these names, or every name (`*`), one by one. `languages` and `sources` (patterns) change what
    is counted: series of the same topics, but other series than those of all messages.
    """

    topics: tuple[Text, ...] = ()
    streams: tuple[Literal["news", "comment"], ...] = ()
    entities: tuple[Entity, ...] = ()
    languages: tuple[Language, ...] = ()
    sources: tuple[Text, ...] = ()

    def holds(self, series: Series) -> bool:
        """Whether a series of this scope's part of the messages is in it."""
        if self.streams and series.stream not in self.streams:
            return False
        if self.entities:
            return series.entity != ALL and (series.entity in self.entities or ALL in self.entities)
        return series.entity == ALL and (not self.topics or series.topic in self.topics)


class QuietHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """Wall-clock hours of an IANA time zone in which warnings wait; over midnight where `to` is not after `from`.

    `days` are those on which the quiet begins, every day where there are none.
    """

    zone: Text
    start: Clock
    end: Clock
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()

    def until(self, now: datetime) -> datetime | None:
        """When the quiet that `now` (aware) lies in will end, None where it lies in none."""
        zone = ZoneInfo(self.zone)
        local = now.astimezone(zone)
        for back in (1, 0):
            day = local.date() - timedelta(days=back)
            if self.days and DAYS[day.weekday()] not in self.days:
                continue
            first, last = time.fromisoformat(self.start), time.fromisoformat(self.end)
            start = datetime.combine(day, first, zone)
            end = datetime.combine(day if last > first else day + timedelta(days=1), last, zone)
            if start.timestamp() <= now.timestamp() < end.timestamp():
                return end
        return None


class Escalation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The second route: who is told where nobody has acknowledged for so long."""

    after_minutes: Annotated[int, Meta(ge=1, le=10_080)]
    channels: Annotated[tuple[Text, ...], Meta(min_length=1)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule; a field that is None leaves the setting of that name as it is.

    `channels` are labels of channels, all of them where there are none. `repeat_hours`: after so many hours an episode
    that nobody acknowledged is told again, 0 never. `pending_minutes`: it is told once it has lasted so long.
    """

    name: Name
    scope: Scope = Scope()
    windows: Annotated[tuple[Window, ...], Meta(min_length=1)] | None = None
    min_negative: Annotated[int, Meta(ge=2)] | None = None
    min_sources: Annotated[int, Meta(ge=1)] | None = None
    min_documents: Annotated[int, Meta(ge=1)] | None = None
    effect_size: Annotated[float, Meta(ge=1)] | None = None
    false_alerts_per_month: Annotated[float, Meta(ge=0.001, le=1000)] | None = None
    pending_minutes: Annotated[int, Meta(ge=0, le=1440)] = 0
    repeat_hours: Annotated[float, Meta(ge=0, le=168)] = 4.0
    channels: tuple[Text, ...] = ()
    language: Literal["en", "zh"] = "en"
    quiet_hours: QuietHours | None = None
    escalation: Escalation | None = None

    @property
    def part(self) -> Part:
        """Which messages it counts."""
        return Part(self.scope.languages, self.scope.sources)

    @property
    def view(self) -> View:
        """Where its counts are read."""
        return view_of(self.part, self.scope.entities)

    def apply(self, settings: AlertsSettings) -> AlertsSettings:
        """The settings of evaluation under this rule."""
        values: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("min_negative", "min_sources", "min_documents", "effect_size")
            if getattr(self, name) is not None
        }
        if self.windows is not None:
            values["windows"] = tuple(sorted(set(self.windows)))
        if self.false_alerts_per_month is not None:
            part = self.false_alerts_per_month / false_alerts_per_month(settings)
            values["false_alarm_rate"] = part * settings.false_alarm_rate
            values["slow_alarms_per_month"] = part * settings.slow_alarms_per_month
        return settings.model_copy(update={**values, **self._scope(settings)})

    def _scope(self, settings: AlertsSettings) -> dict[str, Any]:
        over_all_topics = self.scope.entities or self.scope.sources
        return {
            "topics": () if over_all_topics else self.scope.topics or settings.topics,
            "streams": self.scope.streams or settings.streams,
        }


DEFAULT = Rule(name="default")


def false_alerts_per_month(settings: AlertsSettings) -> float:
    """How many false alerts a month are to be expected: of the tests of each event minute, and of the slow ones."""
    return settings.false_alarm_rate * MINUTES_A_MONTH + settings.slow_alarms_per_month


def parse_file(path: Path) -> list[Rule]:
    """The rules of a TOML file, in order; `InvalidRule` names the file, the rule, the field and what it may be."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidRule(f"rules file {path} cannot be read: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidRule(f"{path} is not TOML: {error}") from error
    raw = document.pop("rule", [])
    if document or not isinstance(raw, list):
        odd = ", ".join(repr(key) for key in document) or "'rule' as a single table"
        raise InvalidRule(f"{path}: a rules file holds [[rule]] tables and nothing else; found {odd}")
    if not raw:
        raise InvalidRule(f"{path}: there is no [[rule]] in it")
    rules = [parse(item, f"{path}, {_called(item, number)}") for number, item in enumerate(raw, 1)]
    check_names(rules, str(path))
    return rules


def parse(raw: object, where: str) -> Rule:
    """One rule from plain tables; raises `InvalidRule`, whose message begins with `where`."""
    try:
        rule = msgspec.convert(raw, Rule)
    except msgspec.ValidationError as error:
        raise InvalidRule(f"{where}: {_complaint(str(error))}") from None
    for field, (others, why) in _ALONE.items():
        for other in others:
            if getattr(rule.scope, field) and getattr(rule.scope, other):
                raise InvalidRule(f"{where}: scope.{field} cannot be limited by {other}: {why}; write two rules")
    if rule.quiet_hours is not None:
        _check_quiet(rule.quiet_hours, where)
    return rule


def check_names(rules: Iterable[Rule], where: str) -> None:
    """Each name stands once; raises `InvalidRule`."""
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            raise InvalidRule(f"{where}: two rules are named {rule.name!r}; give each a name of its own")
        seen.add(rule.name)


def check_channels(rules: Iterable[Rule], known: Sequence[str], where: str) -> None:
    """Each route names channels that are set up; raises `InvalidRule`."""
    for rule in rules:
        routes: Mapping[str, tuple[str, ...]] = {
            "channels": rule.channels,
            "escalation.channels": rule.escalation.channels if rule.escalation else (),
        }
        for field, channels in routes.items():
            for channel in channels:
                if channel not in known:
                    there = ", ".join(known) or "none"
                    raise InvalidRule(f"{where}, rule {rule.name!r}: {field}: no channel {channel!r}; set up: {there}")


def owner(rules: Sequence[Rule], series: Series, part: Part = EVERYTHING) -> Rule | None:
    """The rule that judges a series, of some part of the messages: the first whose scope holds it."""
    return next((rule for rule in rules if rule.part == part and rule.scope.holds(series)), None)


def watches_everything(rules: Sequence[Rule]) -> bool:
    """Whether the sum of all topics and streams, and so every message, is in some rule's scope."""
    return owner(rules, Series(ALL, ALL)) is not None


def _check_quiet(quiet: QuietHours, where: str) -> None:
    try:
        ZoneInfo(quiet.zone)
    except (KeyError, OSError, ValueError):  # not found, a folder, no name of a zone
        raise InvalidRule(
            f"{where}: quiet_hours.zone: {quiet.zone!r} is no IANA time zone; write one such as Asia/Shanghai"
        ) from None
    if quiet.start == quiet.end:
        raise InvalidRule(
            f"{where}: quiet_hours: from and to are the same; to hold warnings back always, use a silence"
        )


def _called(raw: object, number: int) -> str:
    name = raw.get("name") if isinstance(raw, dict) else None
    return f"rule {name!r}" if isinstance(name, str) else f"rule number {number}"


def _complaint(said: str) -> str:
    """msgspec's message with the field in front: `min_negative: expected int >= 2`."""
    match = re.fullmatch(r"(?P<what>.*?)(?: - at `\$?\.?(?P<field>.*)`)?", said, re.DOTALL)
    assert match is not None
    what, field = match["what"].replace("`", ""), match["field"]
    if unknown := re.fullmatch(r"Object contains unknown field (\S+)", what):
        kinds = {"scope": Scope, "quiet_hours": QuietHours, "escalation": Escalation}
        allowed = ", ".join(kinds.get(field or "", Rule).__struct_encode_fields__)
        return f"{f'{field}.' if field else ''}{unknown[1]}: no such field; there are {allowed}"
    if matching := re.fullmatch(r"Expected str matching regex '(.*)'", what):
        shapes = {"languages": "a language such as en or zh, in small letters"}
        shapes |= {"name": "letters, digits, '_', '.' and '-', at most 60", "from": "a time such as 22:30"}
        last = re.sub(r"\[.*", "", (field or "").rpartition(".")[2])
        return f"{field}: expected {shapes.get('from' if last == 'to' else last, matching[1])}"
    if enum := re.fullmatch(r"Invalid enum value (.*)", what):
        choices = {"streams": ("news", "comment"), "language": ("en", "zh"), "days": DAYS}
        last = re.sub(r"\[.*", "", (field or "").rpartition(".")[2])
        return f"{field}: {enum[1]} is none of {', '.join(choices.get(last, ()))}"
    return f"{field}: {what[:1].lower()}{what[1:]}" if field else what[:1].lower() + what[1:]
