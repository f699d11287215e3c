"""What a micro-batch becomes: every raw message is a document or a dead letter, never both, never neither."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from pipeline.batches import RawMessage, score_batch
from pipeline.reasons import Reason
from pipeline.settings import Stream

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
STREAMS: dict[str, Stream] = {"t": "news", "u": "comment"}


@dataclass(frozen=True)
class Verdict:
    topic: str = "general"
    sentiment: str = "neutral"
    negative: float = 0.2
    neutral: float = 0.6
    positive: float = 0.2
    confidence: float = 0.6


class Fragile:
    """A classifier that breaks on one text."""

    model_id = "fragile"

    def __init__(self, poison: str = "poison") -> None:
        self._poison = poison

    def score(self, texts: Sequence[str]) -> list[Verdict]:
        if any(self._poison in text for text in texts):
            raise ValueError("cannot read this")
        return [Verdict() for _ in texts]


def raw(offset: int, text: str, topic: str = "t") -> RawMessage:
    fields = {"id": str(offset), "source": "s", "published_at": "2026-03-10T12:00:00Z", "text": text}
    return RawMessage(topic, 0, offset, b"s", json.dumps(fields).encode())


def test_a_text_that_breaks_the_classifier_is_isolated_from_its_batch() -> None:
    batch = [raw(0, "fine"), raw(1, "poison"), RawMessage("t", 0, 2, None, b"\xff"), raw(3, "fine too")]
    scored = score_batch(batch, streams=STREAMS, classifier=Fragile(), now=NOW)
    assert [message.offset for message, _ in scored.documents] == [0, 3]
    assert sorted((letter.offset, letter.reason, letter.error) for letter in scored.dead) == [
        (1, Reason.CLASSIFIER, "the classifier failed: cannot read this"),
        (2, Reason.NOT_JSON, "not JSON: JSON is malformed: invalid character (byte 0)"),
    ]
    assert scored.dead[0].value == b"\xff" or scored.dead[1].value == b"\xff"


def test_a_message_that_was_replayed_and_fails_again_says_of_which_letter() -> None:
    record = RawMessage("t", 3, 9, b"k", b"{", replay_of="0@17")
    scored = score_batch([record], streams=STREAMS, classifier=Fragile(), now=NOW)
    assert (scored.dead[0].reason, scored.dead[0].headers["replayed"]) == (Reason.NOT_JSON, b"0@17")


def test_a_classifier_that_fails_on_everything_is_broken_not_the_texts() -> None:
    with pytest.raises(ValueError, match="cannot read this"):
        score_batch([raw(0, "a"), raw(1, "b")], streams=STREAMS, classifier=Fragile(""), now=NOW)


def test_a_dead_letter_carries_its_coordinates_and_reason() -> None:
    scored = score_batch([RawMessage("t", 3, 9, b"k", None)], streams=STREAMS, classifier=Fragile(), now=NOW)
    assert scored.dead[0].headers == {
        "reason": b"tombstone",
        "error": b"empty value (a tombstone)",
        "topic": b"t",
        "partition": b"3",
        "offset": b"9",
    }


def test_the_topic_tells_the_stream_of_each_message() -> None:
    batch = [raw(0, "a"), raw(0, "b", topic="u"), raw(1, "c")]
    scored = score_batch(batch, streams=STREAMS, classifier=Fragile(), now=NOW)
    assert [(document.text, document.stream) for _, document in scored.documents] == [
        ("a", "news"),
        ("b", "comment"),
        ("c", "news"),
    ]
