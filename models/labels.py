"""The classes of the two heads, in the order of the logits, and the names people write for them.

Topic ids follow Twitter Financial News Topic (20 classes); its display names, and a few common short forms,
are accepted wherever a topic is read.
"""

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

_SENTIMENT_INDEX = {name: index for index, name in enumerate(SENTIMENTS)}
_TOPIC_INDEX = {name: index for index, name in enumerate(TOPICS)} | {
    display.casefold(): index for index, display in enumerate(TOPIC_NAMES.values())
}


def sentiment_index(label: str) -> int:
    """Return the logit index of a sentiment, whatever its case.

    Raises:
        DataError: the label is none of `SENTIMENTS`.
    """
    try:
        return _SENTIMENT_INDEX[label.strip().casefold()]
    except KeyError:
        raise DataError(f"unknown sentiment {label!r}: use one of {', '.join(SENTIMENTS)}") from None


def topic_index(label: str) -> int:
    """Return the logit index of a topic, given as id (`mergers`) or display name (`M&A / Investments`).

    Raises:
        DataError: the label is neither.
    """
    try:
        return _TOPIC_INDEX[label.strip().casefold()]
    except KeyError:
        raise DataError(f"unknown topic {label!r}: use one of {', '.join(TOPICS)}") from None
