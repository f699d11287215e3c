"""Documents as a market makes them: skewed by topic, source, entity, hour and weekday, in English and Chinese.

Topics, sources and entities follow Zipf's law. Texts are pieces of the installed corpus, 60 to 400 characters, with a
number behind them, so that words are as frequent as in real news and no text is there twice. The same seed and place
give the same documents, in whatever process.
"""

import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

import numpy as np

from bench.engine.texts import CORPUS, files, read
from models.labels import TOPICS
from models.texts import written_in
from storage.writer import ScoredDocument

FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
BUSY = 100_000
"""Documents of a busy day: how densely they follow each other where a batch is written as if live."""
SOURCES, ENTITIES, CHINESE = 400, 3_000, 0.35
SENTIMENTS = ("negative", "neutral", "positive")

_HOURS = np.array([3, 3, 3, 2, 2, 3, 4, 6, 8, 9, 9, 8, 8, 9, 10, 10, 9, 8, 7, 6, 6, 5, 4, 4], dtype=float)
_WEEKEND = 0.35  # of a working day
_SHORTEST, _LONGEST = 60, 400


def names(kind: str, count: int) -> list[str]:
    """Names of sources or entities, the most frequent first."""
    return [f"{kind}-{number:04}" for number in range(count)]


def zipf(count: int, exponent: float = 1.0) -> np.ndarray:
    """Probabilities of `count` things, the first the most frequent."""
    weights = 1 / np.arange(1, count + 1) ** exponent
    return np.asarray(weights / weights.sum())


def days(documents: int, count: int) -> dict[datetime, int]:
    """How many of `documents` each of `count` days gets; weekends are quiet."""
    starts = [FIRST_DAY + timedelta(days=number) for number in range(count)]
    weights = np.array([_WEEKEND if start.weekday() > 4 else 1.0 for start in starts])
    edges = np.rint(np.cumsum(weights / weights.sum()) * documents).astype(int)
    return {start: int(many) for start, many in zip(starts, np.diff(edges, prepend=0), strict=True)}


def of_day(start: datetime, count: int, batch: int) -> Iterator[list[ScoredDocument]]:
    """A day's documents in order of time, in batches; hours differ as they do for a newsroom in London."""
    chance = np.random.default_rng([start.year, start.timetuple().tm_yday])
    hours = chance.choice(24, size=count, p=_HOURS / _HOURS.sum())
    seconds = np.sort(hours * 3600 + chance.random(count) * 3600)
    for at in range(0, count, batch):
        yield _documents(chance, start, seconds[at : at + batch])


def live(start: datetime, count: int, seed: int) -> list[ScoredDocument]:
    """`count` documents from `start` on, as close to each other as on a busy day."""
    chance = np.random.default_rng([7, seed])
    return _documents(chance, start, np.sort(chance.random(count)) * (count * 86_400 / BUSY))


def _documents(chance: np.random.Generator, start: datetime, seconds: np.ndarray) -> list[ScoredDocument]:
    count = len(seconds)
    topics = chance.choice(len(TOPICS), size=count, p=zipf(len(TOPICS)))
    sources = chance.choice(SOURCES, size=count, p=zipf(SOURCES))
    named = chance.random(count) < 0.2
    how_many = np.where(named, chance.integers(1, 4, size=count), 0)
    entities = iter(chance.choice(ENTITIES, size=int(how_many.sum()), p=zipf(ENTITIES)).tolist())
    lengths = np.clip(chance.lognormal(5.1, 0.5, size=count), _SHORTEST, _LONGEST).astype(int)
    # Some topics are gloomier than others.
    leaning = np.stack([1.2 + topics % 4 * 0.5, np.full(count, 2.0), np.full(count, 1.2)], axis=1)
    shares = chance.standard_gamma(leaning)
    shares /= shares.sum(axis=1, keepdims=True)
    keys, hashes = chance.bytes(16 * count), chance.integers(-(2**63), 2**63, size=count).tolist()
    texts, entity_names, source_names = _Texts(chance, count), names("entity", ENTITIES), names("source", SOURCES)
    made = []
    for n, (topic, source, length, many, share, second) in enumerate(
        zip(*(part.tolist() for part in (topics, sources, lengths, how_many, shares, seconds)), strict=True)
    ):
        key = UUID(bytes=keys[16 * n : 16 * n + 16])
        lang = "zh" if source % 20 < 20 * CHINESE else "en"
        made.append(
            ScoredDocument(
                key=key,
                published_at=start + timedelta(seconds=second),
                source=source_names[source],
                id=key.hex,
                stream="news" if source % 3 else "comment",
                lang=lang,
                title=None,
                text=texts.piece(n, lang, length),
                url=f"https://news.example/{key.hex}" if source % 3 else None,
                author=None,
                entities=[entity_names[next(entities)] for _ in range(many)],
                content_hash=hashes[n],
                topic=TOPICS[topic],
                sentiment=SENTIMENTS[share.index(max(share))],
                negative=share[0],
                neutral=share[1],
                positive=share[2],
                confidence=max(share),
            )
        )
    return made


class _Texts:
    """Pieces of the corpus, cut at spaces where there are any."""

    def __init__(self, chance: np.random.Generator, count: int) -> None:
        self._places = chance.random(count).tolist()
        self._marks = chance.integers(0, 10**9, size=count).tolist()

    def piece(self, number: int, lang: str, length: int) -> str:
        whole = corpus()[lang]
        mark = f" {self._marks[number]}"
        wanted = length - len(mark)
        start = int(self._places[number] * (len(whole) - _LONGEST))
        if lang == "en":
            start = whole.find(" ", start) + 1
        return whole[start : start + wanted].rstrip() + mark


@cache
def corpus() -> dict[str, str]:
    """All texts of the installed corpus in one string a language."""
    found: dict[str, list[str]] = {"en": [], "zh": []}
    for path in files(CORPUS):
        for text in read(path):
            found.setdefault(written_in(text), []).append(" ".join(text.split()).replace("\0", ""))
    return {lang: " ".join(texts) for lang, texts in found.items()}


def words(lang: str, count: int, seed: int) -> list[str]:
    """What people search for: words of five letters and more, or four Chinese characters in a row."""
    chance = np.random.default_rng([11, seed])
    whole, found = corpus()[lang], list[str]()
    while len(found) < count:
        place = int(chance.integers(0, len(whole) - _LONGEST))
        if lang == "zh":
            run = whole[place : place + 4]
            usable = all("\u4e00" <= character <= "\u9fff" for character in run)
        else:
            run = whole[whole.find(" ", place) + 1 :][:40].partition(" ")[0].strip(string.punctuation)
            usable = len(run) >= 5 and run.isalpha() and run.isascii()
        if usable:
            found.append(run)
    return found
