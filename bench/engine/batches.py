"""What an informed user does before any runtime: tokenise in Rust, sort by length, pad in batches of 32."""

import json
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.engine.place import BATCH, Answers, Floats, Place, Scorer
from bench.engine.work import limited_tokenizer

Run = Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[Floats, Floats]]
"""Called with right-padded ids (n, longest) and real lengths (n,): the logits of sentiment and topic."""


def sorted_scorer(place: Place, precision: str, run: Run) -> Scorer:
    """A scorer that gives `run` sorted batches and turns its logits into calibrated probabilities."""
    config = json.loads((place.checkpoint / "config.json").read_text(encoding="utf-8"))
    temperatures = config["sentiment_temperature"], config["topic_temperature"]
    classes = len(config["sentiments"]), len(config["topics"])
    tokenizer = limited_tokenizer(place.checkpoint, place.max_tokens)

    def answer(texts: Sequence[str]) -> Answers:
        rows = [encoding.ids or [0] for encoding in tokenizer.encode_batch_fast(list(texts))]
        order = sorted(range(len(rows)), key=lambda position: len(rows[position]))
        sentiment, topic = (np.empty((len(rows), width), np.float32) for width in classes)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            logits = run(*padded([rows[position] for position in batch]))
            sentiment[batch], topic[batch] = map(partial(_softmax), logits, temperatures)
        return Answers(sentiment, topic)

    return Scorer(precision, answer, answer)


def padded(rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids padded on the right with 0, and real lengths."""
    lengths = np.array([len(row) for row in rows])
    ids = np.zeros((len(rows), lengths.max()), np.int64)
    for position, row in enumerate(rows):
        ids[position, : len(row)] = row
    return ids, lengths


def _softmax(logits: Floats, temperature: float) -> Floats:
    shifted = logits / np.float32(temperature)
    raised: Floats = np.exp(shifted - shifted.max(-1, keepdims=True))
    shares: Floats = raised / raised.sum(-1, keepdims=True)
    return shares
