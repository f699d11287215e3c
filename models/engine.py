"""The resident classifier: loaded once, its weights stay on the device for the process's life.

    texts ─► presentable ─► seen before? ─► Rust tokenizer ─► length-sorted groups ─► LeanMonitor ─► scores, order kept

A worker calls `score` from one thread off its event loop; a lock makes other uses safe as well.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from models.devices import pick_device, pick_dtype
from models.graph import LeanMonitor
from models.labels import SENTIMENTS, TOPICS
from models.model import GPT2Monitor, load_monitor, pad_token_id
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

    def __init__(
        self,
        monitor: LeanMonitor,
        tokenizer: Tokenizer,
        pad: int,
        model_id: str,
        settings: ModelsSettings,
        abstain_below: float = 0.0,
    ) -> None:
        self.model_id = model_id
        self.topics = monitor.topics
        self._monitor = monitor
        self._tokenizer = tokenizer
        self._pad = pad
        self._settings = settings
        self._abstain_below = abstain_below
        self._max_tokens = min(settings.max_tokens, monitor.context)
        self._device = monitor.sentiment_head.weight.device
        self._seen: OrderedDict[bytes, Score] = OrderedDict()
        self._lock = threading.Lock()
        tokenizer.no_padding()
        tokenizer.enable_truncation(self._max_tokens)

    @classmethod
    def load(cls, settings: ModelsSettings) -> Self:
        """Load the checkpoint that the settings name onto the device that they name.

        Raises:
            CheckpointError: the checkpoint is missing or unusable.
            SettingsError: the device is not there.
        """
        device = pick_device(settings.device)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        model, tokenizer = load_monitor(settings.checkpoint)
        model_id = f"{Path(settings.checkpoint).name}-{weights_hash(model)}"
        monitor = LeanMonitor(model, pick_dtype(settings.dtype, device)).to(device)
        pad, abstain_below = pad_token_id(tokenizer), model.config.abstain_below
        return cls(monitor, tokenizer.backend_tokenizer, pad, model_id, settings, abstain_below)

    def warm_up(self) -> None:
        """Run short and long texts once, so that the first real batch finds its kernels built; nothing is cached."""
        with self._lock:
            self._forward(["warm up", "预热", "x " * self._max_tokens])

    def score(self, texts: Sequence[str]) -> list[Score]:
        """Score texts of any content and length; scores come in the order of the texts."""
        presented = [presentable(text, self._max_tokens) for text in texts]
        keys = [content_key(text) for text in presented]
        with self._lock:
            known = {key: self._seen[key] for key in set(keys) if key in self._seen}
            fresh = {key: text for key, text in zip(keys, presented, strict=True) if key not in known}
            scored = dict(zip(fresh, self._forward(list(fresh.values())), strict=True)) if fresh else {}
            self._remember(known | scored)
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
        return sentiment.double().numpy(), topic.double().numpy()

    def _forward(self, texts: list[str]) -> list[Score]:
        sentiment, topic = self._distributions(texts)
        pairs = zip(sentiment.tolist(), topic.argmax(-1).tolist(), strict=True)
        return [_score(row, self.topics[index], self._abstain_below) for row, index in pairs]

    def _distributions(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        sentiment = torch.empty(len(texts), len(SENTIMENTS))
        topic = torch.empty(len(texts), len(self.topics))
        for start in range(0, len(texts), _TOKENISED_TOGETHER):
            encodings = self._tokenizer.encode_batch_fast(texts[start : start + _TOKENISED_TOGETHER])
            lengths = [max(len(encoding), 1) for encoding in encodings]
            for group in length_sorted_groups(lengths, self._settings.token_budget):
                ids = self._right_padded([encodings[position] for position in group], lengths[group[-1]])
                real = torch.tensor([lengths[position] for position in group], device=self._device)
                with torch.inference_mode():
                    scored = self._monitor(ids, real)
                rows = torch.tensor(group) + start
                sentiment[rows], topic[rows] = scored[0].cpu(), scored[1].cpu()
        return sentiment, topic

    def _right_padded(self, encodings: list[Encoding], longest: int) -> torch.Tensor:
        rows = [encoding.ids + [self._pad] * (longest - len(encoding.ids)) for encoding in encodings]
        return torch.tensor(rows).to(self._device)


def weights_hash(model: GPT2Monitor) -> str:
    """Return eight hexadecimal digits over weights, temperatures and topics: other weights are another model."""
    digest = hashlib.blake2b(digest_size=4)
    digest.update(f"{model.config.sentiment_temperature} {model.config.topic_temperature}".encode())
    if tuple(model.config.topics) != TOPICS:
        digest.update(repr(model.config.topics).encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(memoryview(value.detach().cpu().contiguous().numpy()).cast("B"))
    return digest.hexdigest()


def _score(row: list[float], topic: str, abstain_below: float) -> Score:
    best = max(range(len(row)), key=row.__getitem__)
    return Score(topic, SENTIMENTS[best], row[0], row[1], row[2], row[best], row[best] >= abstain_below)
