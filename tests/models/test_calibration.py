"""Reliability, risk and coverage, and the threshold below which an answer is not certain."""

import numpy as np
import pytest

from models.calibration import reliability, risk_coverage, threshold_for
from models.rows import MISSING


def answers(confidences: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (n,) and two-class probabilities (n, 2) of such confidences, right or wrong as asked."""
    probabilities = np.array([[confidence, 1 - confidence] for confidence in confidences])
    return np.where(right, 0, 1), probabilities


def test_a_bin_holds_what_was_said_and_what_was_found() -> None:
    labels, probabilities = answers([0.72, 0.78, 0.95, 1.0], [True, False, True, True])
    low, high = reliability(labels, probabilities)
    assert (low.low, low.high, low.n) == (0.7, 0.8, 2)
    assert (low.confidence, low.accuracy) == pytest.approx((0.75, 0.5))
    assert (high.n, high.accuracy) == (2, 1.0)


def test_withholding_doubtful_answers_costs_coverage_and_buys_accuracy() -> None:
    labels, probabilities = answers([0.6, 0.6, 0.8, 0.9], [False, True, True, True])
    kept = risk_coverage(labels, probabilities, (0.5, 0.8, 0.95))
    assert [(line.n, line.coverage, line.accuracy) for line in kept] == [(4, 1.0, 0.75), (2, 0.5, 1.0), (0, 0.0, 0.0)]


def test_rows_without_a_label_say_nothing_of_confidence() -> None:
    labels, probabilities = answers([0.9, 0.9], [True, True])
    labels[1] = MISSING
    assert risk_coverage(labels, probabilities)[0].n == 1
    assert reliability(np.full(2, MISSING), probabilities) == ()
    assert risk_coverage(np.full(2, MISSING), probabilities) == ()


def test_the_threshold_is_the_lowest_that_reaches_the_target() -> None:
    # 40 answers at 0.55 of which half are right, 40 at 0.85 of which all are.
    labels, probabilities = answers([0.55] * 40 + [0.85] * 40, [True, False] * 20 + [True] * 40)
    assert threshold_for(labels, probabilities, 0.9) == 0.56
    assert threshold_for(labels, probabilities, 0.75) == 0.0


def test_nothing_is_certain_when_no_threshold_reaches_the_target() -> None:
    labels, probabilities = answers([0.6] * 30 + [0.9] * 30, [True, False] * 30)
    assert threshold_for(labels, probabilities, 0.9) == 1.0
    # Ten sure and right answers are too few to promise anything by.
    labels, probabilities = answers([0.6] * 30 + [0.9] * 10, [True, False] * 15 + [True] * 10)
    assert threshold_for(labels, probabilities, 0.9) == 1.0


def test_too_few_rows_choose_no_threshold() -> None:
    labels, probabilities = answers([0.6] * 19, [False] * 19)
    assert threshold_for(labels, probabilities) == 0.0
