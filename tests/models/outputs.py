"""How far the outputs of two backends are apart."""

import numpy as np

from models.backends import Output


def furthest(found: list[Output], expected: list[Output]) -> float:
    """The largest difference of any probability."""
    assert len(found) == len(expected)
    return max(
        float(np.abs(ours - theirs).max())
        for one, other in zip(found, expected, strict=True)
        for ours, theirs in ((one.sentiment, other.sentiment), (one.topic, other.topic))
    )
