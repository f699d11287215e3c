"""The JSON document of a change, for receivers that are programs: webhooks, Alertmanager, Kafka. See docs/alerts.md."""

from typing import Any

from alerts.episodes import Change
from alerts.rules import Rule

SCHEMA_VERSION = 1


def payload_of(change: Change, event_id: int, rule: Rule) -> dict[str, Any]:
    """A change in JSON types; times are ISO 8601 with an offset, `*` is all topics, both streams or no single name."""
    detail, window, episode = change.detail, change.detail["window"], change.episode
    return {
        "schema_version": SCHEMA_VERSION,
        "alert_id": episode.alert_id,
        "event_id": event_id,
        "rule": rule.name,
        "language": rule.language,
        "kind": change.kind,
        "at": change.at.isoformat(),
        "topic": episode.topic,
        "stream": episode.stream,
        "entity": episode.entity,
        "opening": detail.get("opening"),
        "topics": detail["topics"],
        "streams": detail["streams"],
        "entities": detail["entities"],
        "languages": detail["languages"],
        "source_patterns": detail["source_patterns"],
        "severity": detail["severity"],
        "opened_at": detail["opened_at"],
        "last_seen_at": detail["last_seen_at"],
        "peak": detail["peak"],
        "observed": window["negatives"],
        "expected": window["expected"],
        "messages": window["messages"],
        "p_value": window["p_value"],
        "test": window["test"],
        "window_minutes": window["window_minutes"],
        "now": detail.get("now"),
        "reasons": window,
    }
