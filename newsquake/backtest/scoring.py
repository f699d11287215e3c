"""Stored streams as scored documents: rows of files, what the cache knows, and the classifier for the rest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.engine import Engine
from models.settings import ModelsSettings
from newsquake.backtest.score_cache import CachedScore, ScoreCache
from pipeline.batches import scored_document
from pipeline.errors import InvalidMessage
from pipeline.message import Message, validate
from pipeline.settings import Stream
from pipeline.sources.files import open_file, read_rows
from storage.writer import ScoredDocument

_AT_ONCE = 512  # texts between two moves of the progress bar
_SAVE_EVERY = 16  # of those: what a kill costs is ten seconds or so of scoring
SHOWN = 20

Entry = tuple[Message, Stream]
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Contents:
    """What files hold: messages with their streams, in order of event time; `rejections` quote the first bad rows."""

    entries: list[Entry]
    rejected: int
    rejections: list[str]


def read_files(
    paths: Sequence[Path], *, stream: Stream | None = None, source: str | None = None, now: datetime
) -> Contents:
    """Every valid message of the files, once; raises `InvalidSource` where a file cannot be read.

    A message that stands in several rows (same `source` and `id`) counts as its first one, as the database would have
    it. Rows whose `ts_precision` is `day` are spread over their day.
    """
    found: dict[object, Entry] = {}
    bad: list[str] = []
    for path in paths:
        with open_file(path) as (content, _):
            for row in read_rows(content, name=path.name, stream=stream, source=source):
                if row.message is None or row.stream is None:
                    bad.append(f"{path.name}, line {row.line}: {row.error}")
                    continue
                try:
                    message = validate(row.message, now=now)
                except InvalidMessage as error:
                    bad.append(f"{path.name}, line {row.line}: {error}")
                    continue
                found.setdefault(message.key, (message, row.stream))
    entries = sorted(found.values(), key=lambda entry: (entry[0].published_at, entry[0].key))
    return Contents(entries, len(bad), bad[:SHOWN])


def unscored(entries: Sequence[Entry], cache: ScoreCache) -> dict[bytes, str]:
    """The distinct texts that the cache does not know, by their keys."""
    texts = {cache.key(message.scored_text): message.scored_text for message, _ in entries}
    return {key: text for key, text in texts.items() if cache.get(key) is None}


def score_missing(missing: dict[bytes, str], cache: ScoreCache, settings: ModelsSettings, advance: Advance) -> None:
    """Score texts into the cache; `advance` is told after each part how many. What is scored is kept on any error.

    Raises what `models.errors` names where the classifier cannot be loaded.
    """
    if not missing:
        return
    engine = Engine.load(settings)
    engine.warm_up()
    # Texts of one length pad little, whatever the classifier makes of one call.
    keys = sorted(missing, key=lambda key: len(missing[key]))
    try:
        for number, start in enumerate(range(0, len(keys), _AT_ONCE), 1):
            part = keys[start : start + _AT_ONCE]
            scores = engine.score([missing[key] for key in part])
            cache.put(
                (key, CachedScore(score.topic, score.negative, score.neutral, score.positive))
                for key, score in zip(part, scores, strict=True)
            )
            advance(len(part))
            if number % _SAVE_EVERY == 0:
                cache.save()
    finally:
        cache.save()


def scored(entries: Sequence[Entry], cache: ScoreCache) -> Iterator[ScoredDocument]:
    """The documents, in order; every text must be in the cache."""
    for message, stream in entries:
        score = cache.get(cache.key(message.scored_text))
        if score is None:
            raise KeyError(f"{message.source} {message.id} was never scored")
        yield scored_document(message, score, stream)
