"""An alert as a person gets it: a title, and why, since when, who says so, the worst of it, and where to look further.

Texts come from strangers: control and invisible characters are taken out, so that nothing moves a terminal's cursor or
hides in a chat. Plain text; receivers render no markup.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from alerts.episodes import Change
from alerts.series import ALL, MINUTE, like_pattern

_CUT = 160
_STREAMS = {"comment": "comments", "news": "news"}
_TITLES = {
    "fired": "negative spike {subject} ({streams})",
    "joined": "negative spike spreads to {names} ({streams})",
    "worsened": "negative spike {subject} is critical now ({streams})",
    "resolved": "negative spike {subject} is over",
    "released": "negative spike {subject} ({streams})",
    "repeated": "negative spike {subject} goes on ({streams})",
    "escalated": "nobody has taken on the negative spike {subject} ({streams})",
}


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


def compose(change: Change) -> Message:
    """The message about one change, from its stored detail alone."""
    detail, window = change.detail, change.detail["window"]
    names = [_name(window)] if change.kind == "joined" else _concrete(detail)
    title = _TITLES[change.kind].format(
        subject=_subject(names, detail), names=_names(names), streams=_streams(detail["streams"])
    )
    body = _over(change.at, detail) if change.kind == "resolved" else _why(detail, window)
    return Message(f"Newsquake: {title}", "\n".join(body))


def clean(text: str, limit: int = _CUT) -> str:
    """One line of printable text, cut at `limit` characters."""
    printable = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    line = " ".join(printable.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _why(detail: dict[str, Any], window: dict[str, Any]) -> list[str]:
    """The body of a message about a spike."""
    since, severity = _clock(detail["opened_at"]), detail["severity"]
    lines = [_counts(window), f"Severity {severity}, since {since}; newest minute {_clock(window['minute'])}."]
    lines += [_latest(detail["now"])] if "now" in detail else []
    lines.append(
        f"{window['counted']} count, in {window['contents']} distinct texts from "
        f"{window['source_count']} sources: {_tally(window['sources'])}."
    )
    if window["entities"]:
        lines.append(f"Most named: {_tally(window['entities'])}.")
    lines.append("Worst:")
    lines += [f"  {item['score']:+.2f} {clean(item['source'], 40)}: {clean(item['text'])}" for item in window["worst"]]
    return [*lines, "Look further:", f"  {_query(window)}"]


def _counts(window: dict[str, Any]) -> str:
    unlikely = f"p = {window['p_value']:.0e}" if window["p_value"] > 0 else "p below 1e-300"
    where = f"{_names([_name(window)])}, {_streams([window['stream']])}"
    return (
        f"{where}: {window['negatives']} negative of {window['messages']} messages in {window['window_minutes']} min; "
        f"{window['expected']:.1f} expected ({window['test']} test); {unlikely}"
    )


def _latest(now: dict[str, Any]) -> str:
    """Where it stands, in a message that tells of it again."""
    return (
        f"Now: {now['negatives']} negative of {now['messages']} messages in the {now['window_minutes']} min "
        f"up to {_clock(now['until'])}."
    )


def _over(at: datetime, detail: dict[str, Any]) -> list[str]:
    lasted = datetime.fromisoformat(detail["last_seen_at"]) - datetime.fromisoformat(detail["opened_at"])
    minutes = lasted // timedelta(minutes=1)
    return [
        f"Calm since {_clock(detail['last_seen_at'])}, after {minutes // 60} h {minutes % 60} min; "
        f"at most {detail['peak']} negatives in one window.",
        f"Began {_clock(detail['opened_at'])}, closed {_clock(at.isoformat())}.",
    ]


def _name(window: dict[str, Any]) -> str:
    """The name that a window is about, else its topic; details of older releases know no names."""
    entity: str = window.get("entity", ALL)
    return window["topic"] if entity == ALL else entity


def _concrete(detail: dict[str, Any]) -> list[str]:
    named = detail.get("entities") or [topic for topic in detail["topics"] if topic != ALL]
    return named or [ALL]


def _subject(names: list[str], detail: dict[str, Any]) -> str:
    """`in debt`, `about Merrowdale Bank`, and in which language or from which sources, where only these count."""
    parts = [f"{'about' if detail.get('entities') else 'in'} {_names(names)}"]
    parts += [f"in {', '.join(detail['languages'])}"] if detail.get("languages") else []
    patterns = [clean(pattern, 40) for pattern in detail.get("source_patterns", ())]
    return " ".join([*parts, f"from {', '.join(patterns)}"] if patterns else parts)


def _names(names: list[str]) -> str:
    shown = ["all topics" if name == ALL else clean(name, 40) for name in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(shown) + more


def _streams(streams: Iterable[str]) -> str:
    """The streams themselves where some stand out, both where only their sum (`*`) does."""
    found = set(streams) & set(_STREAMS) or set(_STREAMS)
    return ", ".join(name for stream, name in _STREAMS.items() if stream in found)


def _tally(counted: dict[str, int]) -> str:
    """Names with their counts; JSONB does not keep the order of keys."""
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{clean(name, 40)} ({count})" for name, count in ordered)


def _clock(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M} UTC"


def _query(window: dict[str, Any]) -> str:
    """SQL that lists the window's negatives, to be pasted into psql."""
    end = datetime.fromisoformat(window["minute"]) + MINUTE
    start = end - window["window_minutes"] * MINUTE
    only = "".join(
        f" AND {column} = {_quoted(window[column])}" for column in ("topic", "stream") if window[column] != ALL
    )
    only += f" AND {_quoted(window['entity'])} = ANY(entities)" if window.get("entity", ALL) != ALL else ""
    languages = window.get("languages") or ()
    only += f" AND lang IN ({', '.join(_quoted(language) for language in languages)})" if languages else ""
    like = [_quoted(like_pattern(pattern)) for pattern in window.get("source_patterns") or ()]
    only += f" AND source LIKE ANY (ARRAY[{', '.join(like)}])" if like else ""
    return (
        "SELECT published_at, source, score, text FROM documents JOIN scores USING (published_at, key) "
        f"WHERE sentiment = 'negative'{only} AND published_at >= '{start:%Y-%m-%d %H:%MZ}' "
        f"AND published_at < '{end:%Y-%m-%d %H:%MZ}' ORDER BY score LIMIT 20;"
    )


def _quoted(value: str) -> str:
    """A literal of SQL, for people who paste it; never executed here."""
    return "'" + clean(value, 200).replace("'", "''") + "'"
