"""What stands behind a spike: how many different people said how many different things.

The second stage of a test. Copies and near-copies count once, an account in the comments counts once, and one source
makes up at most half of what counts, or as much as it always does (`alerts.usual`); so neither a bot, nor one
syndicated story, nor one feed's bad day is a spike.
"""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import scipy  # its parts are loaded when they are first used: commands start without them

from alerts.assess import Spike
from alerts.series import ALL, Series
from alerts.settings import AlertsSettings
from alerts.usual import NOTHING_KNOWN, Usual

NEAR_COPY = 0.6  # Jaccard similarity of character 5-grams above which two texts are one
_GRAM = 5
_COMPARED = 600  # characters of a text that are compared
_NAMED = 5
_WORST = 3


@dataclass(frozen=True, slots=True)
class Document:
    """A negative message within a window; `text` has the title in front. `score` is from -1 to 1. Untrusted."""

    published_at: datetime
    key: str
    source: str
    stream: str
    author: str | None
    text: str
    entities: tuple[str, ...]
    content_hash: int
    score: float
    topic: str = ALL
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Negatives of one window, one for each content hash, oldest first.

    `distinct` is how many content hashes there are; above the reader's limit, `documents` are a fair sample of them.
    `stored` is how many negatives there are, copies included.
    """

    documents: tuple[Document, ...]
    distinct: int
    stored: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is left of a window: `effective` negatives, from `sources` sources, in `contents` distinct texts: `kept`."""

    effective: int
    sources: int
    contents: int
    by_source: dict[str, int] = field(default_factory=dict)
    entities: dict[str, int] = field(default_factory=dict)
    topics: dict[str, int] = field(default_factory=dict)
    worst: tuple[Document, ...] = ()
    kept: tuple[Document, ...] = ()

    def mostly_of(self, topics: Collection[str]) -> bool:
        """Whether at least half of what counts is about these topics."""
        whole = sum(self.topics.values())
        return whole > 0 and 2 * sum(count for topic, count in self.topics.items() if topic in topics) >= whole


def weigh(sample: Sample, usual: Usual = NOTHING_KNOWN) -> Evidence:
    """Count what a sample is worth; scaled up where the sample is a part of the window."""
    kept = _one_each(distinct_texts(sample.documents))
    by_source = Counter(document.source for document in kept)
    effective = usual.capped(by_source)
    scale = sample.distinct / len(sample.documents) if sample.documents else 1.0
    named = Counter(name for document in kept for name in dict.fromkeys(document.entities))
    worst = sorted(kept, key=lambda document: (document.score, document.published_at, document.key))
    return Evidence(
        effective=int(effective * scale),
        sources=len(by_source),
        contents=int(len(kept) * scale),
        by_source=_top(by_source),
        entities=_top(named),
        topics=dict(sorted(Counter(document.topic for document in kept).items())),
        worst=tuple(worst[:_WORST]),
        kept=tuple(kept),
    )


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A spike that stands on enough evidence, with the p-value of what really counts.

    `terms` finds what its texts talk about; called where somebody will read it, since it costs a look at earlier days.
    """

    spike: Spike
    evidence: Evidence
    p_value: float
    terms: Callable[[], Sequence[str]] = tuple

    @property
    def series(self) -> Series:
        return self.spike.series


def confirm(
    spike: Spike, evidence: Evidence, settings: AlertsSettings, usual: Usual = NOTHING_KNOWN
) -> Confirmed | None:
    """The spike tested again on what counts; None where a floor or the test fails.

    What was expected holds the usual copies, so what counts is raised by as many before it is held against that.
    """
    if evidence.sources < usual.floor(settings.min_sources) or evidence.contents < settings.min_documents:
        return None
    counted = min(int(evidence.effective / usual.genuine), spike.observed)
    if evidence.effective < settings.min_negative or counted < spike.effect_size * spike.expected:
        return None
    p_value = spike.retest(counted, spike.observed - counted)
    tests = max(spike.corrected / spike.p_value, 1.0) if spike.p_value > 0 else 1.0
    return Confirmed(spike, evidence, p_value) if p_value * tests <= spike.limit else None


def critical(confirmed: Confirmed, settings: AlertsSettings) -> bool:
    """Whether it is large and unlikely enough to be critical rather than a warning."""
    enough = confirmed.evidence.effective >= settings.critical_negative
    return enough and confirmed.p_value <= settings.critical_p_value


def distinct_texts(documents: Sequence[Document]) -> list[Document]:
    """The first of each group of near-copies, in order."""
    if len(documents) < 2:
        return list(documents)
    grams = [_grams(document.text) for document in documents]
    sizes = np.array([len(item) for item in grams])
    columns = np.concatenate([np.fromiter(item, dtype=np.int64, count=len(item)) for item in grams])
    rows = np.repeat(np.arange(len(grams)), sizes)
    _, columns = np.unique(columns, return_inverse=True)
    matrix = scipy.sparse.csr_array((np.ones(columns.size, dtype=np.int32), (rows, columns)))
    shared = (matrix @ matrix.T).toarray()
    alike = shared > NEAR_COPY * (sizes[:, np.newaxis] + sizes - shared)
    kept: list[int] = []
    for index in range(len(documents)):
        if not alike[index, kept].any():
            kept.append(index)
    return [documents[index] for index in kept]


def _grams(text: str) -> set[int]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = re.sub(r"[\W_]+", " ", folded).strip()[:_COMPARED]
    pieces = {plain[start : start + _GRAM] for start in range(max(len(plain) - _GRAM + 1, 1))}
    return {zlib.crc32(piece.encode("utf-8", "replace")) for piece in pieces}


def _one_each(documents: Sequence[Document]) -> list[Document]:
    """At most one comment of an account. News is left alone: a byline is often a desk, and the source cap holds it."""
    heard: set[tuple[str, str]] = set()
    kept: list[Document] = []
    for document in documents:
        account = (document.source, (document.author or "").strip().casefold())
        if document.stream == "comment" and account[1]:
            if account in heard:
                continue
            heard.add(account)
        kept.append(document)
    return kept


def _top(counted: Counter[str]) -> dict[str, int]:
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_NAMED])
