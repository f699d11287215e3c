"""How much work texts are: real tokens and multiplications, counted alike for every contender.

    full work      2 x (layers x (4 width² + 2 width x inner) x tokens + width x classes x documents)
    engine's work  the same with, in the last block, key and value of every token (2 width² x tokens) but query,
                   projection and MLP ((2 width² + 2 width x inner) x documents) of the pooled token alone

Tokens are real ones, as the checkpoint's tokenizer counts them up to the limit: padding is nobody's merit. The products
inside attention are left out for everyone; beside the rest they are tokens / (12 width), about 1 % for these texts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a checkpoint's matrices."""

    layers: int
    width: int
    inner: int
    heads: int
    positions: int
    vocabulary: int
    classes: int
    """Of both heads together."""

    @classmethod
    def read(cls, checkpoint: Path) -> Self:
        """The shape that a checkpoint's `config.json` names."""
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
        return cls(
            layers=config["n_layer"],
            width=config["n_embd"],
            inner=config["n_inner"] or 4 * config["n_embd"],
            heads=config["n_head"],
            positions=config["n_positions"],
            vocabulary=config["vocab_size"],
            classes=len(config["sentiments"]) + len(config["topics"]),
        )

    def products(self) -> list[tuple[int, int]]:
        """The four matrix products of a block, as (width in, width out)."""
        return [
            (self.width, 3 * self.width),
            (self.width, self.width),
            (self.width, self.inner),
            (self.inner, self.width),
        ]

    def full(self, tokens: int, documents: int) -> float:
        """Floating-point operations of the plain pass."""
        block = sum(narrow * wide for narrow, wide in self.products())
        return 2.0 * (self.layers * block * tokens + self.width * self.classes * documents)

    def pruned(self, tokens: int, documents: int) -> float:
        """Floating-point operations that the engine's pass needs, whose last block answers for one token a text."""
        spared = 2 * self.width**2 + 2 * self.width * self.inner
        return self.full(tokens, documents) - 2.0 * spared * (tokens - documents)


def token_counts(checkpoint: Path, texts: Sequence[str], limit: int) -> list[int]:
    """Real tokens of each text, at most `limit`."""
    tokenizer = limited_tokenizer(checkpoint, limit)
    return [max(len(encoding), 1) for encoding in tokenizer.encode_batch_fast(list(texts))]


def limited_tokenizer(checkpoint: Path, limit: int) -> Tokenizer:
    """The checkpoint's tokenizer, cutting at `limit` tokens and padding nothing."""
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    return tokenizer
