"""An alert as a person gets it: a title; why, since when, how sure, who says so, the worst of it; and what to do next.

Texts come from strangers and are made printable (`alerts.printable`). Plain text; receivers render no markup. The words
are those of `alerts.phrases`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from alerts import further
from alerts.episodes import Change
from alerts.phrases import PHRASES, Phrases
from alerts.printable import clean, link
from alerts.series import ALL

_NAMED = 3
_HOURS = 180  # minutes from which a window's length is told in hours
_RAREST = 1e-15


@dataclass(frozen=True, slots=True)
class Message:
    """Plain text, ready to send, and the same for programs.

    `key` is the same for every try of a notification; `payload` the document of `alerts.payload`; `image` a PNG.
    """

    title: str
    body: str
    key: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    image: bytes | None = None


def compose(change: Change, language: str = "en") -> Message:
    """The message about one change, from its stored detail alone; `language` is `en` or `zh`."""
    say, detail, window = PHRASES[language], change.detail, change.detail["window"]
    named = detail.get("entities") or [_topic(say, topic) for topic in detail["topics"] if topic != ALL]
    names = [_name(say, window)] if change.kind == "joined" else named or [say.all_topics]
    title = say.titles[change.kind].format(
        subject=_subject(say, names, detail), names=_names(say, names), streams=_streams(say, detail["streams"])
    )
    body = _over(say, change.at, detail) if change.kind == "resolved" else _why(say, change, detail, window)
    return Message(say.prefix + title, "\n".join(body))


def _why(say: Phrases, change: Change, detail: dict[str, Any], window: dict[str, Any]) -> list[str]:
    """The body of a message about a spike."""
    lines = [_counts(say, window), _since(say, change.at, detail, window), _sure(say, window)]
    lines += [_latest(say, detail["now"])] if "now" in detail else []
    tally, named = (_tally(say, window[counted]) for counted in ("sources", "entities"))
    worth = {"counted": window["counted"], "contents": window["contents"], "sources": window["source_count"]}
    lines.append(say.worth.format(**worth, tally=tally))
    terms = [clean(term, 40) for term in window.get("terms", ())]
    lines += [say.terms.format(terms=say.comma.join(terms))] if terms else []
    lines += [say.named.format(tally=named)] if named else []
    lines.append(say.worst)
    for item in window["worst"]:
        lines.append(f"  {item['score']:+.2f} {clean(item['source'], 40)}: {clean(item['text'])}")
        lines += [f"    {address}"] if (address := link(item.get("url"))) else []
    lines += [say.further, f"  {further.query(window)}"]
    return lines + _commands(say, change, detail)


def _commands(say: Phrases, change: Change, detail: dict[str, Any]) -> list[str]:
    alert_id = change.episode.alert_id
    if alert_id is None:
        return []
    found = further.silences(detail["topics"], detail.get("entities", ()), detail["streams"])
    lines = [say.acknowledge, f"  {further.acknowledge(alert_id)}"]
    return [*lines, say.silence, *(f"  {command}" for command in found)] if found else lines


def _counts(say: Phrases, window: dict[str, Any]) -> str:
    where = say.comma.join([_names(say, [_name(say, window)]), _streams(say, [window["stream"]])])
    expected, negatives = window["expected"], window["negatives"]
    ratio = say.ratio.format(ratio=negatives / expected) if expected > 0 else ""
    counted = {"negatives": negatives, "messages": window["messages"], "expected": expected, "ratio": ratio}
    return say.counts.format(where=where, span=_length(say, window["window_minutes"]), **counted)


def _since(say: Phrases, at: datetime, detail: dict[str, Any], window: dict[str, Any]) -> str:
    lasted = at - datetime.fromisoformat(detail["opened_at"])
    lasting = say.lasting.format(span=_span(say, lasted)) if lasted >= timedelta(minutes=1) else ""
    times = {"since": _clock(detail["opened_at"]), "minute": _clock(window["minute"])}
    return say.since.format(severity=say.severities[detail["severity"]], lasting=lasting, **times)


def _sure(say: Phrases, window: dict[str, Any]) -> str:
    p_value, test = window["p_value"], say.tests[window["test"]]
    rare = p_value < _RAREST
    odds = _rounded(say, 1 / max(p_value, _RAREST))
    p = f"{p_value:.0e}" if p_value > 0 else "0"
    return say.chance.format(odds=say.rarer.format(odds=odds) if rare else odds, test=test, p=p)


def _rounded(say: Phrases, number: float) -> str:
    """One digit of it, in words where it is large."""
    digits = math.floor(math.log10(max(number, 1.0)))
    rounded = round(number / 10**digits) * 10**digits
    for power, word in say.large:
        if rounded >= power:
            return word.format(number=rounded // power)
    return f"{rounded:,}"


def _latest(say: Phrases, now: dict[str, Any]) -> str:
    """Where it stands, in a message that tells of it again."""
    counted = {"negatives": now["negatives"], "messages": now["messages"]}
    return say.latest.format(**counted, span=_length(say, now["window_minutes"]), until=_clock(now["until"]))


def _over(say: Phrases, at: datetime, detail: dict[str, Any]) -> list[str]:
    lasted = datetime.fromisoformat(detail["last_seen_at"]) - datetime.fromisoformat(detail["opened_at"])
    times = {"since": _clock(detail["last_seen_at"]), "opened": _clock(detail["opened_at"])}
    return [say.over.format(span=_span(say, lasted), peak=detail["peak"], closed=_clock(at.isoformat()), **times)]


def _name(say: Phrases, window: dict[str, Any]) -> str:
    """The name that a window is about, else its topic; details of older releases know no names."""
    entity = str(window.get("entity", ALL))
    return _topic(say, window["topic"]) if entity == ALL else entity


def _topic(say: Phrases, topic: str) -> str:
    return say.all_topics if topic == ALL else say.topics.get(topic) or topic.replace("_", " ")


def _subject(say: Phrases, names: list[str], detail: dict[str, Any]) -> str:
    """`in debt`, `about Merrowdale Bank`, and in which language or from which sources, where only these count."""
    subject = (say.name if detail.get("entities") else say.topic).format(names=_names(say, names))
    if detail.get("languages"):
        subject = say.languages.format(subject=subject, languages=say.comma.join(detail["languages"]))
    if detail.get("source_patterns"):
        patterns = say.comma.join(clean(pattern, 40) for pattern in detail["source_patterns"])
        subject = say.sources.format(subject=subject, sources=patterns)
    return subject


def _names(say: Phrases, names: Sequence[str]) -> str:
    joined = say.comma.join(clean(name, 40) for name in names[:_NAMED])
    return say.more.format(names=joined, more=len(names) - _NAMED) if len(names) > _NAMED else joined


def _streams(say: Phrases, streams: Iterable[str]) -> str:
    """The streams themselves where some stand out, both where only their sum (`*`) does."""
    found = set(streams) & set(say.streams) or set(say.streams)
    return say.comma.join(name for stream, name in say.streams.items() if stream in found)


def _tally(say: Phrases, counted: dict[str, int]) -> str:
    """Names with their counts; JSONB does not keep the order of keys."""
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return say.comma.join(say.tally.format(name=clean(name, 40), count=count) for name, count in ordered)


def _length(say: Phrases, minutes: int) -> str:
    return say.hours.format(hours=minutes // 60) if minutes >= _HOURS else say.minutes.format(minutes=minutes)


def _span(say: Phrases, lasted: timedelta) -> str:
    minutes = lasted // timedelta(minutes=1)
    return say.span.format(hours=minutes // 60, minutes=minutes % 60)


def _clock(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M}"
