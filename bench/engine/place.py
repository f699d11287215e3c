"""What a contender is built from and what it is: the words that parent and child process share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BATCH = 32
"""Texts in a forward pass of every peer."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Place:
    """Where and on what a contender is built."""

    checkpoint: Path
    scratch: Path
    """Folder of one checkpoint's exports; what `prepare` leaves, `load` finds."""
    device: str
    cores: int
    max_tokens: int


class Answers(NamedTuple):
    """Calibrated probabilities in the order of the texts."""

    sentiment: Floats
    """(n, 3)."""
    topic: Floats | None
    """(n, topics); none from a contender that answers sentiment alone."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A contender in its process."""

    precision: str
    """Of the trunk's matrix products."""
    score: Callable[[Sequence[str]], object]
    """What is timed: from texts to what its users get."""
    answer: Callable[[Sequence[str]], Answers]
    """What is compared, untimed."""


class Unavailable(Exception):
    """A contender cannot run on this machine; the message says why."""
