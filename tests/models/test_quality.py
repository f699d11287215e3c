"""Quality figures against values worked out by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.errors import DataError
from models.evaluate import Answers, Sample, compare, read_sample
from models.quality import area_under_roc, calibration_error, f1_by_class, fit_temperature, measure, softmax
from models.rows import MISSING, Row

LABELS = np.array([0, 0, 0, 1, 2, MISSING])
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.9, 0.0], [0.5, 0.2, 0.3], [0.0, 0.0, 1.0]]
)


def test_f1_follows_its_definition() -> None:
    scores, support = f1_by_class(LABELS[:5], PROBABILITIES[:5].argmax(axis=1), 3)
    assert scores == pytest.approx([2 * 2 / (3 + 3), 2 * 1 / (1 + 2), 0.0])
    assert support.tolist() == [3, 1, 1]


def test_rows_without_a_label_are_skipped() -> None:
    quality = measure(LABELS, PROBABILITIES)
    assert quality.n == 5
    assert quality.accuracy == pytest.approx(0.6)
    assert quality.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert quality.weighted_f1 == pytest.approx((3 * 2 / 3 + 2 / 3) / 5)


def test_no_labels_give_zero_and_no_warning() -> None:
    assert measure(np.array([MISSING]), PROBABILITIES[:1]).n == 0


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    confidence = np.full(10, 0.9)
    correct = np.array([True] * 6 + [False] * 4)
    assert calibration_error(confidence, correct) == pytest.approx(0.3)
    assert calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0.0


def test_the_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(4000, 3)) * 2
    labels = np.array([rng.choice(3, p=row) for row in softmax(logits)])
    assert fit_temperature(labels, logits * 2.5) == pytest.approx(2.5, rel=0.15)
    assert fit_temperature(np.full(3, MISSING), logits[:3]) == 1.0


def test_figures_are_split_by_language() -> None:
    rows = [Row("a", 0, MISSING, "en"), Row("b", 1, MISSING, "zh"), Row("c", 2, MISSING)]
    sentiment = np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    result = compare("m", Sample(rows, ["f"] * 3), Answers(sentiment, np.full((3, 20), 0.05))).as_dict()
    assert result["sentiment"]["accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    assert {lang: part["sentiment"]["accuracy"] for lang, part in result["by_lang"].items()} == {
        "en": 1.0,
        "zh": 0.0,
        "unknown": 1.0,
    }
    assert result["topic"]["n"] == 0


def test_rows_without_any_label_cannot_be_measured() -> None:
    with pytest.raises(DataError, match="no row has"):
        compare("m", Sample([Row("a")], ["f"]), Answers(np.full((1, 3), 1 / 3), np.full((1, 20), 0.05)))


def test_figures_are_split_by_file(jsonl: Callable[..., Path]) -> None:
    good = jsonl('{"text": "a", "sentiment": "positive"}\n{"text": "b", "sentiment": "negative"}', "good.jsonl")
    bad = jsonl('{"text": "c", "sentiment": "neutral"}', "bad.jsonl")
    sentiment = np.array([[0.1, 0.2, 0.7], [0.2, 0.5, 0.3], [0.8, 0.1, 0.1]])
    result = compare("m", read_sample([good, bad]), Answers(sentiment, None)).as_dict()
    assert {name: part["sentiment"]["accuracy"] for name, part in result["by_file"].items()} == {
        "good.jsonl": 0.5,
        "bad.jsonl": 0.0,
    }


def test_a_file_without_neutral_rows_is_also_judged_by_the_sign_of_the_score() -> None:
    rows = [Row(text, label) for text, label in zip("abcd", (2, 2, 0, 0), strict=True)]
    # The third is called neutral but leans to the bad side; the fourth leans to the good one, less than the others.
    sentiment = np.array([[0.1, 0.2, 0.7], [0.1, 0.6, 0.3], [0.3, 0.6, 0.1], [0.4, 0.1, 0.5]])
    result = compare("m", Sample(rows, ["f"] * 4), Answers(sentiment, None))
    assert (result.binary["f"].accuracy, result.binary["f"].auc) == (0.75, 1.0)
    assert result.overall.sentiment.accuracy == 0.25
    mixed = compare("m", Sample([*rows, Row("e", 1)], ["f"] * 5), Answers(np.eye(3)[[0, 0, 0, 0, 0]], None))
    assert mixed.binary == {}


def test_answers_without_probabilities_have_no_calibration_error() -> None:
    sample = Sample([Row("a", 0), Row("b", 2)], ["f", "f"])
    result = compare("m", sample, Answers(np.array([[5.0, -1, 0], [0, -3, -1]]), None, probable=False))
    assert result.overall.sentiment.accuracy == 0.5
    assert result.overall.sentiment.ece is None
    assert result.overall.topic.n == 0
    assert (result.reliability, result.risk_coverage) == ((), ())


def test_the_area_under_roc_counts_pairs_in_order() -> None:
    good = np.array([True, True, False, False])
    assert area_under_roc(good, np.array([0.9, 0.4, 0.4, 0.1])) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert area_under_roc(good, np.array([0.1, 0.2, 0.3, 0.4])) == 0.0
