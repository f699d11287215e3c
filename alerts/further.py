"""What a message's reader does next: SQL that shows more, and the commands that take an alert on or silence it.

Values come from strangers: SQL gets them as quoted literals, commands as quoted words of a POSIX shell. Both are for
people to paste; neither is executed here.
"""

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from alerts.printable import clean
from alerts.series import ALL, MINUTE, like_pattern

_SILENCED = 3  # commands at most


def query(window: dict[str, Any]) -> str:
    """SQL that lists a window's negatives, the worst first."""
    end = datetime.fromisoformat(window["minute"]) + MINUTE
    start = end - window["window_minutes"] * MINUTE
    wanted = [f"{column} = {_literal(window[column])}" for column in ("topic", "stream") if window[column] != ALL]
    if window.get("entity", ALL) != ALL:
        wanted.append(f"{_literal(window['entity'])} = ANY(entities)")
    if window.get("languages"):
        wanted.append(f"lang IN ({', '.join(map(_literal, window['languages']))})")
    if window.get("source_patterns"):
        like = ", ".join(_literal(like_pattern(pattern)) for pattern in window["source_patterns"])
        wanted.append(f"source LIKE ANY (ARRAY[{like}])")
    wanted += [f"published_at >= '{start:%Y-%m-%d %H:%MZ}'", f"published_at < '{end:%Y-%m-%d %H:%MZ}'"]
    return (
        "SELECT published_at, source, score, excerpt FROM worst_documents "
        f"WHERE {' AND '.join(wanted)} ORDER BY score LIMIT 20;"
    )


def acknowledge(alert_id: int) -> str:
    """The command that takes an episode on."""
    return f"newsquake alerts ack {alert_id}"


def silences(topics: Sequence[str], entities: Sequence[str], streams: Sequence[str]) -> list[str]:
    """Commands that together silence an episode for two hours; none where that would take too many."""
    named = [("--entity", name) for name in entities] or [("--topic", topic) for topic in topics if topic != ALL]
    if len(named) > _SILENCED:
        return []
    scopes = [f"{option}={shlex.quote(clean(value, 200))}" for option, value in named]
    if not scopes:
        scopes = [f"--stream={streams[0]}"] if len(streams) == 1 and ALL not in streams else ["--all"]
    return [f"newsquake alerts silence {scope} --for 2h" for scope in scopes]


def _literal(value: str) -> str:
    return "'" + clean(value, 200).replace("'", "''") + "'"
