"""How far two labellers of the same texts agree: accuracy, and Cohen's kappa, which takes off what chance gives.

Cohen (1960). Under 0.7 the annotation guide is at fault, not the labellers (`docs/annotation.md`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.labels import SENTIMENTS, TOPICS
from models.rows import MISSING, Row


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two labellers on the `n` texts that both gave a label of one kind."""

    n: int
    accuracy: float
    kappa: float
    names: tuple[str, ...]
    """The classes that occur, in the order of the logits."""
    confusion: NDArray[np.int64]
    """Texts by the first labeller's class and the second's, (k, k)."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON; the confusion holds only pairs of classes that occur."""
        pairs = {
            first: {second: int(count) for second, count in zip(self.names, line, strict=True) if count}
            for first, line in zip(self.names, self.confusion, strict=True)
            if line.any()
        }
        figures = {"n": self.n, "accuracy": round(self.accuracy, 4), "kappa": round(self.kappa, 4)}
        return figures | {"confusion": pairs}


def agreement(first: Sequence[Row], second: Sequence[Row]) -> dict[str, Agreement]:
    """Compare two labellers' rows, matched by text whatever their order: `sentiment`, and `topic` where both gave it.

    Raises:
        DataError: a text stands twice in one of them, the texts are not the same, or no label is common to both.
    """
    ours, theirs = _by_text(first, "first"), _by_text(second, "second")
    apart = ours.keys() ^ theirs.keys()
    if apart:
        raise DataError(f"{len(apart)} texts are in only one of the files, for example {min(apart)[:60]!r}")
    pairs = [(row, theirs[text]) for text, row in ours.items()]
    found = {
        "sentiment": _compare([(a.sentiment, b.sentiment) for a, b in pairs], SENTIMENTS),
        "topic": _compare([(a.topic, b.topic) for a, b in pairs], TOPICS),
    }
    labelled = {head: figures for head, figures in found.items() if figures.n}
    if not labelled:
        raise DataError("no text has a label in both files: nothing to compare")
    return labelled


def cohen_kappa(confusion: NDArray[np.int64]) -> float:
    """Return kappa of a confusion (k, k); 1 when both labellers gave everything the same single class."""
    total = confusion.sum()
    seen = np.trace(confusion) / total
    chance = float((confusion.sum(0) * confusion.sum(1)).sum() / total**2)
    return 1.0 if chance == 1.0 else float((seen - chance) / (1 - chance))


def _compare(pairs: Sequence[tuple[int, int]], names: tuple[str, ...]) -> Agreement:
    both = np.array([pair for pair in pairs if MISSING not in pair], dtype=np.int64).reshape(-1, 2)
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (both[:, 0], both[:, 1]), 1)
    occurs = np.flatnonzero(confusion.any(0) | confusion.any(1))
    kept = confusion[np.ix_(occurs, occurs)]
    if not len(both):
        return Agreement(0, 0.0, 0.0, (), kept)
    accuracy = float((both[:, 0] == both[:, 1]).mean())
    return Agreement(len(both), accuracy, cohen_kappa(kept), tuple(names[at] for at in occurs), kept)


def _by_text(rows: Sequence[Row], which: str) -> dict[str, Row]:
    found = {row.text: row for row in rows}
    if len(found) < len(rows):
        raise DataError(f"the {which} file holds {len(rows) - len(found)} texts twice: keep one of each")
    return found
