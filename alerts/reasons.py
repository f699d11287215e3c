"""Why a window fired, in JSON types: what is stored with an episode and what messages are written from."""

from typing import Any

from alerts.evidence import Confirmed
from alerts.series import EVERYTHING, Part


def reasons(confirmed: Confirmed, part: Part = EVERYTHING) -> dict[str, Any]:
    """Why, in JSON types: the window, the counts, the p-value, sources, entities, terms and worst documents."""
    spike, evidence = confirmed.spike, confirmed.evidence
    return {
        "topic": spike.series.topic,
        "stream": spike.series.stream,
        "entity": spike.series.entity,
        "languages": list(part.languages),
        "source_patterns": list(part.sources),
        "minute": spike.minute.isoformat(),
        "window_minutes": spike.window,
        "test": spike.test,
        "expected": round(spike.expected, 3),
        "negatives": spike.observed,
        "counted": evidence.effective,
        "messages": spike.messages,
        "p_value": confirmed.p_value,
        "source_count": evidence.sources,
        "contents": evidence.contents,
        "sources": evidence.by_source,
        "entities": evidence.entities,
        "topics": evidence.topics,
        "terms": list(confirmed.terms()),
        "worst": [
            {
                "published_at": document.published_at.isoformat(),
                "key": document.key,
                "source": document.source,
                "score": round(document.score, 3),
                "text": document.text[:300],
                "url": document.url,
            }
            for document in evidence.worst
        ],
    }
