"""How steady a classifier is: under disturbance, over names, and on pairs that only a negation or a number parts.

Every classifier fits that gives sentiment (n, 3) and topic (n, 20) probabilities for n texts.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.labels import SENTIMENTS
from models.probes import NameProbe, PairProbe, Probes
from models.robustness import DISTURBANCES, Disturbance
from models.rows import MISSING, Row
from models.texts import written_in

Scorer = Callable[[Sequence[str]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Returns the sentiment and topic probabilities of texts."""

SEED = 7
_BAD, _GOOD = SENTIMENTS.index("negative"), SENTIMENTS.index("positive")
_WORST = 5


@dataclass(frozen=True, slots=True)
class Steadiness:
    """One head on the rows that a disturbance changed: accuracy before and after, and how many answers turned.

    Accuracies are over the labelled ones among them, and nothing where there is none.
    """

    n: int
    clean: float | None
    disturbed: float | None
    flipped: float


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What one disturbance did in one language."""

    name: str
    lang: str
    sentiment: Steadiness
    topic: Steadiness


@dataclass(frozen=True, slots=True)
class NameSpread:
    """The score's spread over names, in sentences of one language and slot; scores lie in -1..1."""

    lang: str
    slot: str
    sentences: int
    names: int
    mean_range: float
    """Mean over the sentences of highest less lowest score."""
    max_range: float
    mean_std: float
    turned: float
    """Share of the filled sentences whose label is not the sentence's most frequent one."""
    worst: tuple[tuple[str, float], ...]
    """Names that pull hardest, with their mean distance from the sentence's median score, signed."""


@dataclass(frozen=True, slots=True)
class PairsSolved:
    """Pairs of one language and kind: both labels right, and the good text scored above the bad one."""

    lang: str
    kind: str
    n: int
    solved: float
    ordered: float


@dataclass(frozen=True, slots=True)
class Robustness:
    """The whole report."""

    disturbed: tuple[Disturbed, ...]
    names: tuple[NameSpread, ...]
    pairs: tuple[PairsSolved, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON, figures rounded to four places."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


def measure_robustness(scorer: Scorer, rows: Sequence[Row], probes: Probes, seed: int = SEED) -> Robustness:
    """Disturb the rows by a seed and put the probes to the classifier."""
    return Robustness(
        disturbed_rows(scorer, rows, seed), name_spreads(scorer, probes.names), pairs_solved(scorer, probes.pairs)
    )


def disturbed_rows(scorer: Scorer, rows: Sequence[Row], seed: int = SEED) -> tuple[Disturbed, ...]:
    """Return what each disturbance does in each language; rows that it leaves as they are do not count."""
    by_lang: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_lang[row.lang or written_in(row.text)].append(row)
    found: list[Disturbed] = []
    for lang, held in sorted(by_lang.items()):
        clean = scorer([row.text for row in held])
        found.extend(
            result
            for disturbance in DISTURBANCES
            if lang in disturbance.langs and (result := _disturb(scorer, held, clean, disturbance, lang, seed))
        )
    return tuple(found)


def name_spreads(scorer: Scorer, probes: Sequence[NameProbe]) -> tuple[NameSpread, ...]:
    """Return the spread over names by language and slot."""
    groups: dict[tuple[str, str], list[NameProbe]] = defaultdict(list)
    for probe in probes:
        groups[probe.lang, probe.slot].append(probe)
    return tuple(_spread(scorer, lang, slot, held) for (lang, slot), held in groups.items())


def pairs_solved(scorer: Scorer, probes: Sequence[PairProbe]) -> tuple[PairsSolved, ...]:
    """Return the share of pairs solved by language and kind; equal scores are not in order."""
    groups: dict[tuple[str, str], list[PairProbe]] = defaultdict(list)
    for probe in probes:
        groups[probe.lang, probe.kind].append(probe)
    found = []
    for (lang, kind), held in groups.items():
        good = scorer([probe.good for probe in held])[0]
        bad = scorer([probe.bad for probe in held])[0]
        solved = (good.argmax(1) == _GOOD) & (bad.argmax(1) == _BAD)
        ordered = _score(good) > _score(bad)
        found.append(PairsSolved(lang, kind, len(held), float(solved.mean()), float(ordered.mean())))
    return tuple(found)


def _disturb(
    scorer: Scorer,
    rows: Sequence[Row],
    clean: tuple[NDArray[np.float64], NDArray[np.float64]],
    disturbance: Disturbance,
    lang: str,
    seed: int,
) -> Disturbed | None:
    texts = [disturbance.disturbed(row.text, seed) for row in rows]
    changed = [at for at, text in enumerate(texts) if text != rows[at].text]
    if not changed:
        return None
    after = scorer([texts[at] for at in changed])
    labels = np.array([[rows[at].sentiment, rows[at].topic] for at in changed])
    sentiment, topic = (_steadiness(labels[:, head], clean[head][changed], after[head]) for head in (0, 1))
    return Disturbed(disturbance.name, lang, sentiment, topic)


def _steadiness(labels: NDArray[np.int64], before: NDArray[np.float64], after: NDArray[np.float64]) -> Steadiness:
    was, now, known = before.argmax(1), after.argmax(1), labels != MISSING
    clean, disturbed = (
        (float((was == labels)[known].mean()), float((now == labels)[known].mean())) if known.any() else (None, None)
    )
    return Steadiness(len(labels), clean, disturbed, float((was != now).mean()))


def _spread(scorer: Scorer, lang: str, slot: str, probes: Sequence[NameProbe]) -> NameSpread:
    scores, turned = [], []
    for probe in probes:
        sentiment = scorer(probe.texts())[0]
        scores.append(_score(sentiment))
        answers = sentiment.argmax(1)
        turned.append(float((answers != np.bincount(answers).argmax()).mean()))
    table = np.stack(scores)
    ranges = table.max(1) - table.min(1)
    pulls = (table - np.median(table, axis=1, keepdims=True)).mean(0)
    hardest = np.argsort(-np.abs(pulls), kind="stable")[:_WORST]
    return NameSpread(
        lang=lang,
        slot=slot,
        sentences=len(probes),
        names=len(probes[0].names),
        mean_range=float(ranges.mean()),
        max_range=float(ranges.max()),
        mean_std=float(table.std(1).mean()),
        turned=float(np.mean(turned)),
        worst=tuple((probes[0].names[at], float(pulls[at])) for at in hardest),
    )


def _score(sentiment: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(sentiment[:, _GOOD] - sentiment[:, _BAD])


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(held) for name, held in value.items()}
    return [_rounded(held) for held in value] if isinstance(value, (list, tuple)) else value
