"""The inside of a micro-batch: raw Kafka messages in, scored documents and dead letters out. Pure but for the model.

Stands between the inbox, where the messages of all streams wait, and the writer; runs on the inference thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from pipeline.dead_letters import DeadLetter
from pipeline.errors import InvalidMessage
from pipeline.message import Message, content_hash, decode, language
from pipeline.settings import Stream
from storage.writer import ScoredDocument

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One record as it came from Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None

    def dead(self, error: str) -> DeadLetter:
        """This message as a dead letter with its reason."""
        return DeadLetter(error, self.topic, self.partition, self.offset, self.key, self.value)


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

    `streams` names the stream of each Kafka topic. All texts go to the classifier in one call.

    Raises the classifier's error only where it fails for every text, since then the classifier is broken, not a text.
    """
    valid: list[tuple[RawMessage, Message]] = []
    dead: list[DeadLetter] = []
    for record in raw:
        try:
            valid.append((record, decode(record.value, now=now)))
        except InvalidMessage as error:
            dead.append(record.dead(str(error)))
    scores = _score([message.scored_text for _, message in valid], classifier)
    documents = []
    for (record, message), score in zip(valid, scores, strict=True):
        if isinstance(score, Exception):
            dead.append(record.dead(f"the classifier failed: {score}"))
        else:
            documents.append((record, _document(message, score, streams[record.topic])))
    return ScoredBatch(documents, dead)


def _score(texts: Sequence[str], classifier: Classifier) -> Sequence[Score | Exception]:
    if not texts:
        return []
    try:
        return classifier.score(texts)
    except Exception as error:
        log.warning("batch_failed_scoring_one_by_one", error=str(error), texts=len(texts))
        scores: list[Score | Exception] = []
        for text in texts:
            try:
                scores.extend(classifier.score([text]))
            except Exception as single:
                scores.append(single)
        if len(texts) > 1 and all(isinstance(score, Exception) for score in scores):
            raise
        return scores


def _document(message: Message, score: Score, stream: Stream) -> ScoredDocument:
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
