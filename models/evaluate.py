"""Measure a classifier on labelled files, as a worker would run it, and beside a peer trained on rows given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine import Engine
from models.errors import DataError
from models.labels import SENTIMENTS, TOPICS
from models.quality import HeadQuality, measure
from models.rows import MISSING, Row


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures over all rows and by language."""

    model_id: str
    overall: HeadQuality
    by_lang: dict[str, HeadQuality]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON: `model`, `sentiment`, `topic`, `by_lang`."""
        by_lang = {lang: figures.as_dict() for lang, figures in self.by_lang.items()}
        return {"model": self.model_id} | self.overall.as_dict() | {"by_lang": by_lang}


def evaluate(engine: Engine, rows: Sequence[Row]) -> Evaluation:
    """Score every row with the engine and compare with its labels.

    Raises:
        DataError: no row carries a label.
    """
    sentiment, topic = engine.probabilities([row.text for row in rows])
    return compare(engine.model_id, rows, sentiment, topic)


def compare(
    model_id: str, rows: Sequence[Row], sentiment: NDArray[np.float64], topic: NDArray[np.float64]
) -> Evaluation:
    """Compare the rows' labels with probabilities, (n, 3) and (n, 20).

    Raises:
        DataError: no row carries a label.
    """
    if all(row.sentiment == MISSING and row.topic == MISSING for row in rows):
        raise DataError("no row has a `sentiment` or `topic` to compare with: add one of these fields")
    langs = np.array([row.lang or "unknown" for row in rows])
    everything = np.ones(len(rows), dtype=bool)
    return Evaluation(
        model_id,
        _figures(rows, sentiment, topic, everything),
        {str(lang): _figures(rows, sentiment, topic, langs == lang) for lang in np.unique(langs)},
    )


def tfidf_peer(train: Sequence[Row], rows: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the customary peer says of the rows: TF-IDF of words and characters with logistic regression.

    Raises:
        DataError: scikit-learn is not installed (it is a development dependency).
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_union
    except ImportError as error:
        raise DataError("the peer needs scikit-learn: pip install scikit-learn") from error
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=3, sublinear_tf=True, max_features=200_000),
    )
    known = features.fit_transform([row.text for row in train])
    asked = features.transform([row.text for row in rows])

    def head(labels: list[int], classes: int) -> NDArray[np.float64]:
        labelled = np.flatnonzero(np.array(labels) != MISSING)
        probabilities = np.full((len(rows), classes), 1 / classes)
        if len(set(np.array(labels)[labelled])) > 1:
            peer = LogisticRegression(C=4.0, max_iter=300, class_weight="balanced")
            peer.fit(known[labelled], np.array(labels)[labelled])
            probabilities[:] = 0.0
            probabilities[:, peer.classes_] = peer.predict_proba(asked)
        return probabilities

    return head([row.sentiment for row in train], len(SENTIMENTS)), head([row.topic for row in train], len(TOPICS))


def _figures(
    rows: Sequence[Row], sentiment: NDArray[np.float64], topic: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> HeadQuality:
    return HeadQuality(
        measure(np.array([row.sentiment for row in rows])[chosen], sentiment[chosen]),
        measure(np.array([row.topic for row in rows])[chosen], topic[chosen]),
    )
