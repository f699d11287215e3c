"""The arithmetic of spikes: two one-sided tests and the control of false alarms. Pure and vectorised.

*Volume*: are there more negatives than a negative binomial with the baseline's mean and variance allows?
*Share*: are more of the messages negative than a beta-binomial around the baseline's share allows?
Sources: Noufaily et al. 2013 (doi:10.1002/sim.5595) for counts; Benjamini and Hochberg 1995 for many series at once.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # its parts are loaded when they are first used: commands start without them

Floats = npt.NDArray[np.float64]
Numbers = npt.ArrayLike

_EXACT = 2000  # above so many messages the sum gives way to a beta with the same mean and variance


def negative_binomial_tail(observed: Numbers, mean: Numbers, variance: Numbers) -> Floats:
    """P(Y >= observed) for a negative binomial with this mean and variance (> mean); shapes broadcast."""
    seen, mu, spread = (np.asarray(value, dtype=np.float64) for value in (observed, mean, variance))
    excess = np.maximum(spread - mu, 1e-9 * mu)
    size = mu * mu / excess
    tail = scipy.special.betainc(np.maximum(seen, 1.0), size, mu / (mu + size))
    return np.asarray(np.where(seen <= 0, 1.0, tail), dtype=np.float64)


def beta_binomial_tail(observed: Numbers, messages: Numbers, share: Numbers, concentration: Numbers) -> Floats:
    """P(X >= observed) among `messages`, X beta-binomial with mean `share` and a + b = `concentration`.

    Shapes broadcast; the result has at least one dimension. Exact up to 2,000 messages.
    """
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float)) for v in (observed, messages, share)))
    x, n, p = (array.ravel() for array in arrays)
    s = np.broadcast_to(np.asarray(concentration, float), arrays[0].shape).ravel()
    a, b = p * s, (1 - p) * s
    tail = np.ones(x.shape)
    small = (x > 0) & (x <= n) & (n <= _EXACT)
    tail[small] = _beta_binomial_sum(x[small], n[small], a[small], b[small])
    large = (x > 0) & (x <= n) & (n > _EXACT)
    # The share's variance is p(1-p)/n * (n+s)/(s+1); a beta with that variance has concentration n(s+1)/(n+s) - 1.
    wide = n[large] * (s[large] + 1) / (n[large] + s[large]) - 1
    edge = (x[large] - 0.5) / n[large]
    tail[large] = scipy.special.betainc((1 - p[large]) * wide, p[large] * wide, 1 - edge)
    tail[x > n] = 0.0
    return np.minimum(tail, 1.0).reshape(arrays[0].shape)


def _beta_binomial_sum(x: Floats, n: Floats, a: Floats, b: Floats) -> Floats:
    """The tail as a sum of its terms, all rows in one flat array."""
    if not x.size:
        return x
    width = (n - x + 1).astype(np.int64)
    row = np.repeat(np.arange(x.size), width)
    starts = np.concatenate(([0], np.cumsum(width)[:-1]))
    k = x[row] + (np.arange(row.size) - starts[row])
    rest, a_k, b_k = n[row] - k, a[row], b[row]
    choose = scipy.special.gammaln(n[row] + 1) - scipy.special.gammaln(k + 1) - scipy.special.gammaln(rest + 1)
    terms = np.exp(choose + scipy.special.betaln(k + a_k, rest + b_k) - scipy.special.betaln(a_k, b_k))
    return np.asarray(np.add.reduceat(terms, starts), dtype=np.float64)


def benjamini_hochberg(p_values: Floats, tests: npt.NDArray[np.int64], level: float) -> Floats:
    """The largest p-value that is a discovery at false discovery `level`, by column; 0 where there is none.

    Args:
        p_values: [tests that were made, columns]; those that were not made are left out or 1.
        tests: number of tests of each column, made or not, [columns].
        level: expected share of false discoveries.
    """
    ordered = np.sort(p_values, axis=0)
    rank = np.arange(1, ordered.shape[0] + 1)[:, np.newaxis]
    limit: Any = level * rank / np.maximum(tests, 1)
    return np.asarray(np.where(ordered <= limit, limit, 0.0).max(axis=0, initial=0.0), dtype=np.float64)
