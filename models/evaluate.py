"""Measure classifiers on labelled files: overall, by language and by file, with what their confidence is worth.

A classifier is anything that gives `Answers` for texts: the engine as a worker runs it, or a peer (`models/peers.py`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Bin, Kept, reliability, risk_coverage
from models.engine import Engine
from models.errors import DataError
from models.labels import SENTIMENTS, TOPICS
from models.quality import HeadQuality, Quality, area_under_roc, measure
from models.rows import MISSING, Row, read_rows

_BAD, _GOOD = SENTIMENTS.index("negative"), SENTIMENTS.index("positive")


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled rows and the name of the file that each came from."""

    rows: list[Row]
    files: list[str]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a classifier says of n rows: sentiment (n, 3) and topic (n, 20), or no topic at all.

    Unless `probable`, the figures are scores in a unit of its own; the largest is the answer.
    """

    sentiment: NDArray[np.float64]
    topic: NDArray[np.float64] | None
    probable: bool = True

    @property
    def score(self) -> NDArray[np.float64]:
        """How good rather than bad each row is, (n,), above 0 for good."""
        return np.asarray(self.sentiment[:, _GOOD] - self.sentiment[:, _BAD])


@dataclass(frozen=True, slots=True)
class Binary:
    """Good told from bad, on rows that are all labelled one or the other: by the score's sign, and by its order."""

    n: int
    accuracy: float
    auc: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON, rounded to four places."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One classifier's figures on a sample; the last two are of sentiment, and empty without probabilities."""

    model_id: str
    overall: HeadQuality
    by_lang: dict[str, HeadQuality]
    by_file: dict[str, HeadQuality]
    binary: dict[str, Binary]
    """By file, for files whose sentiments are all negative or positive."""
    reliability: tuple[Bin, ...]
    risk_coverage: tuple[Kept, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "model": self.model_id,
            **self.overall.as_dict(),
            "by_lang": {lang: figures.as_dict() for lang, figures in self.by_lang.items()},
            "by_file": {name: figures.as_dict() for name, figures in self.by_file.items()},
            "binary": {name: figures.as_dict() for name, figures in self.binary.items()},
            "reliability": [line.as_dict() for line in self.reliability],
            "risk_coverage": [line.as_dict() for line in self.risk_coverage],
        }


def read_sample(paths: Sequence[Path], topics: Sequence[str] = TOPICS) -> Sample:
    """Read files labelled with these topics; files of one name in two folders are told apart by their paths.

    Raises:
        DataError: a file is missing, or a row in it is wrong.
    """
    short = len({path.name for path in paths}) == len(paths)
    rows: list[Row] = []
    files: list[str] = []
    for path in paths:
        found = read_rows([path], topics)
        rows.extend(found)
        files.extend([path.name if short else str(path)] * len(found))
    return Sample(rows, files)


def answers_of(engine: Engine, rows: Sequence[Row]) -> Answers:
    """Score every row as a worker would."""
    return Answers(*engine.probabilities([row.text for row in rows]))


def compare(model_id: str, sample: Sample, answers: Answers) -> Evaluation:
    """Compare the sample's labels with a classifier's answers.

    Raises:
        DataError: no row carries a label.
    """
    rows = sample.rows
    if all(row.sentiment == MISSING and row.topic == MISSING for row in rows):
        raise DataError("no row has a `sentiment` or `topic` to compare with: add one of these fields")
    files = np.array(sample.files)
    by_file = {name: files == name for name in dict.fromkeys(sample.files)}
    langs = np.array([row.lang or "unknown" for row in rows])
    labels = np.array([row.sentiment for row in rows])
    probable = answers.probable and bool((labels != MISSING).any())
    binary = {name: _binary(labels[chosen], answers.score[chosen]) for name, chosen in by_file.items()}
    return Evaluation(
        model_id,
        _figures(rows, answers, np.ones(len(rows), dtype=bool)),
        {str(lang): _figures(rows, answers, langs == lang) for lang in np.unique(langs)},
        {name: _figures(rows, answers, chosen) for name, chosen in by_file.items()},
        {name: figures for name, figures in binary.items() if figures is not None},
        reliability(labels, answers.sentiment) if probable else (),
        risk_coverage(labels, answers.sentiment) if probable else (),
    )


def _figures(rows: Sequence[Row], answers: Answers, chosen: NDArray[np.bool_]) -> HeadQuality:
    sentiments, topics = np.array([row.sentiment for row in rows]), np.array([row.topic for row in rows])
    return HeadQuality(
        measure(sentiments[chosen], answers.sentiment[chosen], probable=answers.probable),
        Quality(0, 0.0, 0.0, 0.0, None)
        if answers.topic is None
        else measure(topics[chosen], answers.topic[chosen], probable=answers.probable),
    )


def _binary(labels: NDArray[np.int64], score: NDArray[np.float64]) -> Binary | None:
    known = labels != MISSING
    labels, score = labels[known], score[known]
    if set(labels.tolist()) != {_BAD, _GOOD}:
        return None
    good = labels == _GOOD
    right = np.where(good, score > 0, score < 0)
    return Binary(len(labels), float(right.mean()), area_under_roc(good, score))
