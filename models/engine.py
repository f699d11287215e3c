"""The resident classifier: loaded once, its weights stay on the device for the process's life.

    texts ─► presentable ─► seen before? ─► Rust tokenizer ─► length-sorted groups ─► backend ─► scores, order kept

A worker calls `score` from one thread off its event loop; a lock makes other uses safe as well.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from models.backends import Backend, Batch, open_backend
from models.budget import measured_budget
from models.checkpoint import Checkpoint, read_checkpoint
from models.labels import SENTIMENTS
from models.metrics import SECONDS, TEXTS, TOKENS
from models.settings import ModelsSettings
from models.texts import content_key, length_sorted_groups, presentable

_TOKENISED_TOGETHER = 1024
"""Texts whose tokens are held at once: bounds memory whatever the batch."""


@dataclass(frozen=True, slots=True)
class Score:
    """What the classifier says of one text; the three probabilities sum to 1."""

    topic: str
    sentiment: str
    negative: float
    neutral: float
    positive: float
    confidence: float
    """Calibrated probability of `sentiment`."""
    certain: bool
    """Whether the confidence reaches the checkpoint's `abstain_below`."""

    @property
    def score(self) -> float:
        """P(positive) - P(negative), in -1..1."""
        return self.positive - self.negative


class Engine:
    """A classifier on a device. Build it with `Engine.load`."""

    def __init__(self, checkpoint: Checkpoint, backend: Backend, settings: ModelsSettings) -> None:
        config = checkpoint.config
        self.model_id = checkpoint.model_id
        self.topics = config.topics
        self.backend = backend
        self.token_budget = settings.token_budget
        """Most tokens in a forward pass; 0 until `warm_up` has measured it, where the settings leave it open."""
        self._tokenizer = checkpoint.tokenizer
        self._settings = settings
        self._abstain_below = config.abstain_below
        self._max_tokens = min(settings.max_tokens, config.n_positions)
        self._seen: OrderedDict[bytes, Score] = OrderedDict()
        self._lock = threading.Lock()
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._max_tokens)

    @classmethod
    def load(cls, settings: ModelsSettings) -> Self:
        """Load the checkpoint that the settings name onto the device that they name.

        Raises:
            CheckpointError: the checkpoint is missing or unusable.
            SettingsError: the device is not there, or the backend does not run on it.
        """
        checkpoint = read_checkpoint(settings.checkpoint)
        return cls(checkpoint, open_backend(checkpoint, settings), settings)

    def warm_up(self) -> None:
        """Build what the first batches would wait for, and measure the token budget where it is left open."""
        with self._lock:
            self.backend.warm_up()
            if not self.token_budget:
                self.token_budget = measured_budget(self.backend, self._max_tokens)

    def score(self, texts: Sequence[str]) -> list[Score]:
        """Score texts of any content and length; scores come in the order of the texts."""
        presented = [presentable(text, self._max_tokens) for text in texts]
        keys = [content_key(text) for text in presented]
        with self._lock:
            known = {key: self._seen[key] for key in set(keys) if key in self._seen}
            fresh = {key: text for key, text in zip(keys, presented, strict=True) if key not in known}
            scored = dict(zip(fresh, self._forward(list(fresh.values())), strict=True)) if fresh else {}
            self._remember(known | scored)
        TEXTS.labels("forward").inc(len(fresh))
        TEXTS.labels("cache").inc(len(texts) - len(fresh))
        found = known | scored
        return [found[key] for key in keys]

    def _remember(self, scores: dict[bytes, Score]) -> None:
        for key, score in scores.items():
            self._seen[key] = score
            self._seen.move_to_end(key)
        while len(self._seen) > self._settings.cache_size:
            self._seen.popitem(last=False)

    def probabilities(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sentiment (n, 3) and topic (n, topics) distributions, in the order of the texts, uncached."""
        with self._lock:
            sentiment, topic = self._distributions([presentable(text, self._max_tokens) for text in texts])
        return sentiment.astype(np.float64), topic.astype(np.float64)

    def _forward(self, texts: list[str]) -> list[Score]:
        sentiment, topic = self._distributions(texts)
        pairs = zip(sentiment.tolist(), topic.argmax(-1).tolist(), strict=True)
        return [_score(row, self.topics[index], self._abstain_below) for row, index in pairs]

    def _distributions(self, texts: list[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sentiment = np.empty((len(texts), len(SENTIMENTS)), np.float32)
        topic = np.empty((len(texts), len(self.topics)), np.float32)
        for start in range(0, len(texts), _TOKENISED_TOGETHER):
            with SECONDS.labels("tokenise").time():
                encodings = self._tokenizer.encode_batch_fast(texts[start : start + _TOKENISED_TOGETHER])
            TOKENS.inc(sum(map(len, encodings)))
            lengths = [self.backend.padded(max(len(encoding), 1)) for encoding in encodings]
            groups = length_sorted_groups(lengths, self._budget(sum(lengths)))
            with SECONDS.labels("infer").time():  # the backend gives its outputs one by one
                for group, output in zip(groups, self.backend.run(_batches(encodings, lengths, groups)), strict=True):
                    rows = np.array(group) + start
                    sentiment[rows], topic[rows] = output.sentiment, output.topic
        return sentiment, topic

    def _budget(self, tokens: int) -> int:
        """Return the token budget, or an even share of few tokens, so that no lane of the backend is idle."""
        return min(self.token_budget or _UNMEASURED_BUDGET, max(_LEAST_SHARE, -(-tokens // self.backend.lanes)))


_LEAST_SHARE = 256
"""Tokens that are not worth sharing out."""
_UNMEASURED_BUDGET = 2048
"""Tokens in a forward pass of an engine that was not warmed up."""


def _batches(encodings: Sequence[Encoding], lengths: Sequence[int], groups: Sequence[Sequence[int]]) -> Iterator[Batch]:
    """Pad each group to its longest length on the right with zeros, which no real token sees; none is empty."""
    for group in groups:
        ids = np.zeros((len(group), lengths[group[-1]]), np.int64)
        for row, position in enumerate(group):
            ids[row, : len(encodings[position])] = encodings[position].ids
        yield Batch(ids, np.array([max(len(encodings[position]), 1) for position in group]))


def _score(row: list[float], topic: str, abstain_below: float) -> Score:
    best = max(range(len(row)), key=row.__getitem__)
    return Score(topic, SENTIMENTS[best], row[0], row[1], row[2], row[best], row[best] >= abstain_below)
