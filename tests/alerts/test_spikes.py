"""The tests' arithmetic, held against scipy's own distributions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alerts.spikes import benjamini_hochberg, beta_binomial_tail, negative_binomial_tail


@given(st.integers(0, 200), st.floats(0.05, 80), st.floats(1.05, 20))
def test_the_volume_tail_is_that_of_a_negative_binomial(observed: int, mean: float, dispersion: float) -> None:
    size = mean / (dispersion - 1)
    expected = stats.nbinom.sf(observed - 1, size, size / (size + mean))
    assert negative_binomial_tail(observed, mean, mean * dispersion) == pytest.approx(expected, rel=1e-6, abs=1e-290)


@given(st.integers(0, 80), st.integers(0, 80), st.floats(0.02, 0.9), st.floats(2, 80))
def test_the_share_tail_is_that_of_a_beta_binomial(observed: int, more: int, share: float, weight: float) -> None:
    messages = observed + more
    expected = stats.betabinom.sf(observed - 1, messages, share * weight, (1 - share) * weight)
    found = beta_binomial_tail(observed, messages, share, weight)[0]
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-12)


def test_large_windows_have_nearly_the_tail_of_the_exact_sum() -> None:
    exact = stats.betabinom.sf(1199, 2500, 0.22 * 25, 0.78 * 25)
    assert beta_binomial_tail(1200, 2500, 0.22, 25)[0] == pytest.approx(exact, rel=0.1)


def test_tails_keep_their_order_far_out() -> None:
    tails = negative_binomial_tail(np.arange(1, 400), 3.0, 6.0)
    assert (np.diff(tails) < 0).all()
    assert tails[-1] > 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.3))
def test_the_false_discovery_rule_is_the_textbook_one(p_values: list[float], level: float) -> None:
    limit = benjamini_hochberg(np.array(p_values)[:, np.newaxis], np.array([len(p_values)]), level)[0]
    ordered = sorted(p_values)
    passed = [rank for rank, p in enumerate(ordered, 1) if p <= level * rank / len(ordered)]
    assert limit == pytest.approx(level * max(passed, default=0) / len(ordered))
