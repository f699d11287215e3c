"""The classes of the two heads, in the order of the logits, and the names people write for them.

The sentiments are always the three. Topic ids follow Twitter Financial News Topic (20 classes), and its display names
are accepted wherever one of them is read; a classifier can instead be trained for topics of its owner's naming.
"""

import unicodedata
from collections.abc import Iterable
from functools import cache

from models.errors import DataError

SENTIMENTS = ("negative", "neutral", "positive")

TOPIC_NAMES = {
    "analyst_update": "Analyst Update",
    "central_banks": "Fed / Central Banks",
    "company_product": "Company / Product News",
    "debt": "Treasuries / Corporate Debt",
    "dividend": "Dividend",
    "earnings": "Earnings",
    "energy": "Energy / Oil",
    "financials": "Financials",
    "currencies": "Currencies",
    "general": "General News / Opinion",
    "metals": "Gold / Metals / Materials",
    "ipo": "IPO",
    "legal_regulation": "Legal / Regulation",
    "mergers": "M&A / Investments",
    "macro": "Macro",
    "markets": "Markets",
    "politics": "Politics",
    "personnel": "Personnel Change",
    "stock_commentary": "Stock Commentary",
    "stock_movement": "Stock Movement",
}

TOPICS = tuple(TOPIC_NAMES)

LONGEST_TOPIC = 80
"""Characters that the database keeps of a topic's name."""

_SENTIMENT_INDEX = {name: index for index, name in enumerate(SENTIMENTS)}


def sentiment_index(label: str) -> int:
    """Return the logit index of a sentiment, whatever its case.

    Raises:
        DataError: the label is none of `SENTIMENTS`.
    """
    try:
        return _SENTIMENT_INDEX[label.strip().casefold()]
    except KeyError:
        raise DataError(f"unknown sentiment {label!r}: use one of {', '.join(SENTIMENTS)}") from None


def topic_index(label: str, topics: tuple[str, ...] = TOPICS) -> int:
    """Return the logit index of one of the topics, whatever its case.

    The twenty of this project may also be given by display name (`M&A / Investments` for `mergers`).

    Raises:
        DataError: the label is none of the topics.
    """
    try:
        return _topic_index(topics)[label.strip().casefold()]
    except KeyError:
        raise DataError(f"unknown topic {label!r}: use one of {', '.join(topics)}") from None


def topic_name(label: str) -> str:
    """Return a topic's name as it is stored, without the white space around it.

    Raises:
        DataError: it is empty, longer than `LONGEST_TOPIC` characters, or has control characters or half a character.
    """
    name = label.strip()
    if not 1 <= len(name) <= LONGEST_TOPIC:
        raise DataError(f"topic {name[:20]!r} has {len(name)} characters: name it with 1 to {LONGEST_TOPIC}")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        raise DataError(f"topic {name!r} has control characters: name it with plain ones")
    return name


def own_topics(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct topics among the labels, sorted; spellings that differ in case alone are one topic.

    Raises:
        DataError: a name cannot be stored.
    """
    first_spellings: dict[str, str] = {}
    for label in labels:
        name = topic_name(label)
        first_spellings.setdefault(name.casefold(), name)
    return tuple(first_spellings[key] for key in sorted(first_spellings))


@cache
def _topic_index(topics: tuple[str, ...]) -> dict[str, int]:
    index = {name.casefold(): at for at, name in enumerate(topics)}
    displayed = {shown.casefold(): index[name] for name, shown in TOPIC_NAMES.items() if name in index}
    return displayed | index
