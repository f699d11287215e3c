"""Why a message can never be stored: a small closed set, so that dead letters can be counted, filtered and alarmed on.

The sentence in a dead letter's `error` tells the particular case; the reason tells the kind, and who can mend it.
"""

from enum import StrEnum


class Reason(StrEnum):
    """The kinds of dead letters. The values stand in Kafka headers: new ones may be added, none may change."""

    TOMBSTONE = "tombstone"
    TOO_LARGE = "too-large"
    NOT_UTF8 = "not-utf8"
    NOT_JSON = "not-json"
    INVALID = "invalid"
    BAD_TIME = "bad-time"
    CLASSIFIER = "classifier"
    DATABASE = "database"

    @property
    def sentence(self) -> str:
        """What it means, for people."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.TOMBSTONE: "The record has no value.",
    Reason.TOO_LARGE: "The value is larger than a message may be.",
    Reason.NOT_UTF8: "The value is not UTF-8.",
    Reason.NOT_JSON: "The value is not JSON.",
    Reason.INVALID: "A field is missing, of the wrong type or out of bounds, blank, or holds a null character.",
    Reason.BAD_TIME: "The time of publication is out of bounds.",
    Reason.CLASSIFIER: "The classifier fails on this text, and on this text only.",
    Reason.DATABASE: "PostgreSQL refuses a value of the document.",
}
