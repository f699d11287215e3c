"""Peers that fail in the ways in which peers fail. Contenders are built in other processes: they stand in a module."""

import os
from collections.abc import Sequence

import numpy as np

from bench.engine.peers import Peer
from bench.engine.place import Answers, Place, Scorer


def load_wrong(place: Place) -> Scorer:
    """Answer negative and the first topic, whatever the text."""

    def answer(texts: Sequence[str]) -> Answers:
        return Answers(np.eye(3, dtype=np.float32)[[0] * len(texts)], np.eye(20, dtype=np.float32)[[0] * len(texts)])

    return Scorer("none", answer, answer)


def load_dying(place: Place) -> Scorer:
    """Take the process down while loading, as a missing instruction or too little memory does."""
    os.write(2, b"Illegal instruction\n")
    os._exit(132)


def load_failing(place: Place) -> Scorer:
    """Load well, and fail on the first large batch."""

    def score(texts: Sequence[str]) -> None:
        if len(texts) > 8:
            raise MemoryError("no room for the batch\nsecond line")

    return Scorer("none", score, lambda texts: Answers(np.empty((0, 3), np.float32), None))


WRONG = Peer("wrong", "always negative", load_wrong)
BROKEN = (
    Peer("dying", "dies while loading", load_dying),
    Peer("failing", "fails in the first round", load_failing),
    Peer("missing", "is not installed", load_wrong, packages=("no_such_runtime",)),
    Peer("elsewhere", "runs on GPUs alone", load_wrong, devices=("cuda",)),
)
