"""Scores of texts on disk: a second run over the same stream scores nothing.

One file a classifier, named after its `model_id` (which hashes weights and calibration) and the tokens of a text that
it reads. A text is known by the hash of exactly what the tokenizer sees. No text is stored.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.labels import SENTIMENTS
from models.texts import content_key, presentable
from newsquake.errors import NewsquakeError
from newsquake.exports import whole_file

_KEY_BYTES = 16


class CachedScore(NamedTuple):
    """What a classifier said of one text; the three probabilities sum to 1."""

    topic: str
    negative: float
    neutral: float
    positive: float

    @property
    def sentiment(self) -> str:
        return SENTIMENTS[self[1:].index(self.confidence)]

    @property
    def confidence(self) -> float:
        return max(self[1:])


class ScoreCache:
    """Scores by text for one classifier; changes are on disk after `save`.

    Two processes that score at once do not harm each other's file, but the later `save` wins.
    """

    def __init__(self, folder: Path, model_id: str, max_tokens: int) -> None:
        self.path = folder / f"{model_id}-{max_tokens}.safetensors"
        self._max_tokens = max_tokens
        self._scores: dict[bytes, CachedScore] = {}
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise NewsquakeError(f"{self.path} cannot be read: {error.strerror or error}") from error
        try:
            self._scores = _unpack(load(content))
        except (SafetensorError, KeyError, ValueError, UnicodeDecodeError) as error:
            raise NewsquakeError(f"{self.path} is no cache of scores, remove it: {error}") from error

    def __len__(self) -> int:
        return len(self._scores)

    def key(self, text: str) -> bytes:
        """The key of a text: 16 bytes."""
        return content_key(presentable(text, self._max_tokens))

    def get(self, key: bytes) -> CachedScore | None:
        """The score of a key, None where it was never scored."""
        return self._scores.get(key)

    def put(self, scores: Iterable[tuple[bytes, CachedScore]]) -> None:
        """Remember scores, in memory until `save`."""
        self._scores.update(scores)

    def save(self) -> None:
        """Write everything; the file is the old one or the new one, whatever dies meanwhile.

        Raises:
            NewsquakeError: the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path) as out:
                out.write(save(_pack(self._scores)))
        except OSError as error:
            raise NewsquakeError(f"{self.path} cannot be written: {error.strerror or error}") from error


def _pack(scores: Mapping[bytes, CachedScore]) -> dict[str, Any]:
    topics = sorted({score.topic for score in scores.values()})
    number = {topic: index for index, topic in enumerate(topics)}
    return {
        "keys": np.frombuffer(b"".join(scores), np.uint8).reshape(-1, _KEY_BYTES),
        "topics": np.frombuffer("\n".join(topics).encode(), np.uint8),
        "topic": np.array([number[score.topic] for score in scores.values()], np.int16),
        "probabilities": np.array([score[1:] for score in scores.values()], np.float64).reshape(-1, len(SENTIMENTS)),
    }


def _unpack(arrays: Mapping[str, Any]) -> dict[bytes, CachedScore]:
    topics = arrays["topics"].tobytes().decode().split("\n")
    keys = arrays["keys"].tobytes()
    rows = zip(arrays["topic"].tolist(), arrays["probabilities"].tolist(), strict=True)
    return {
        keys[index * _KEY_BYTES : (index + 1) * _KEY_BYTES]: CachedScore(topics[topic], *probabilities)
        for index, (topic, probabilities) in enumerate(rows)
    }
