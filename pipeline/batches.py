"""The inside of a micro-batch: raw Kafka messages in, scored documents and dead letters out. Pure but for the model.

Stands between the inbox, where the messages of all streams wait, and the writer; runs on the inference thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from pipeline.bisection import score_each
from pipeline.dead_letters import DeadLetter
from pipeline.errors import InvalidMessage
from pipeline.message import Message, content_hash, decode, language
from pipeline.metrics import SECONDS
from pipeline.reasons import Reason
from pipeline.settings import Stream
from storage.writer import ScoredDocument


class RawMessage(msgspec.Struct, frozen=True):
    """One record as it came from Kafka; `replay_of` is its `replayed` header (`dead_letters.replay_of`)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    replay_of: str | None = None

    def dead(self, reason: Reason, error: str) -> DeadLetter:
        """This message as a dead letter: the kind of failure, and the sentence that tells the case."""
        return DeadLetter(reason, error, self.topic, self.partition, self.offset, self.key, self.value, self.replay_of)


class Score(Protocol):
    """What a classifier says of one text; the three probabilities add up to 1."""

    @property
    def topic(self) -> str: ...

    @property
    def sentiment(self) -> str: ...

    @property
    def negative(self) -> float: ...

    @property
    def neutral(self) -> float: ...

    @property
    def positive(self) -> float: ...

    @property
    def confidence(self) -> float: ...


class Classifier(Protocol):
    """Whatever scores texts: `models.engine.Engine` in production."""

    @property
    def model_id(self) -> str: ...

    def score(self, texts: Sequence[str]) -> Sequence[Score]: ...


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """One micro-batch after inference. Every raw message is in exactly one of the two lists."""

    documents: list[tuple[RawMessage, ScoredDocument]]
    dead: list[DeadLetter]


def score_batch(
    raw: Sequence[RawMessage], *, streams: Mapping[str, Stream], classifier: Classifier, now: datetime
) -> ScoredBatch:
    """Decode, validate and classify; what fails becomes a dead letter and stops nobody else.

    `streams` names the stream of each Kafka topic. All texts go to the classifier in one call; where that fails, the
    texts at fault are found by halving (`pipeline/bisection.py`), which raises the classifier's error where none is.
    """
    with SECONDS.labels("decode").time():
        valid, dead = _decoded(raw, now)
    with SECONDS.labels("score").time():
        scores = score_each([message.scored_text for _, message in valid], classifier.score)
    documents = []
    for (record, message), score in zip(valid, scores, strict=True):
        if isinstance(score, Exception):
            dead.append(record.dead(Reason.CLASSIFIER, f"the classifier failed: {str(score) or type(score).__name__}"))
        else:
            documents.append((record, scored_document(message, score, streams[record.topic])))
    return ScoredBatch(documents, dead)


def _decoded(raw: Sequence[RawMessage], now: datetime) -> tuple[list[tuple[RawMessage, Message]], list[DeadLetter]]:
    valid = []
    dead = []
    for record in raw:
        try:
            valid.append((record, decode(record.value, now=now)))
        except InvalidMessage as error:
            dead.append(record.dead(error.reason, str(error)))
    return valid, dead


def scored_document(message: Message, score: Score, stream: Stream) -> ScoredDocument:
    """A message and its score as the writer takes them."""
    return ScoredDocument(
        key=message.key,
        published_at=message.published_at,
        source=message.source,
        id=message.id,
        stream=stream,
        lang=language(message),
        title=message.title,
        text=message.text,
        url=message.url,
        author=message.author,
        entities=message.entities,
        content_hash=content_hash(message),
        topic=score.topic,
        sentiment=score.sentiment,
        negative=score.negative,
        neutral=score.neutral,
        positive=score.positive,
        confidence=score.confidence,
    )
