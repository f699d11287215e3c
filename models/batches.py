"""Token ids of rows, grouped into right-padded batches of similar length, with training noise.

Everything here is a function of a seed: the same seed gives the same batches, which is what lets a resumed run continue
exactly where it stopped.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from models.model import pad_token_id

_CASHTAG = re.compile(r"\$[A-Za-z]{1,6}\b|#\w+#?")
_MARKS = "🔹🔸▶️📰🧵✅🗓️📎🔗🙂🤔🧐💡🕐☕🌐📍🏦💼🗣️"
"""Emoji that take no side."""
_POOL = 40


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded token ids (n, longest), real lengths (n,) and the positions of the rows in their list."""

    ids: Tensor
    lengths: Tensor
    rows: Tensor


def encode(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Return the token ids of each text, cut to `max_tokens`; a text without tokens becomes one padding token."""
    encoded = tokenizer(list(texts), truncation=True, max_length=max_tokens, padding=False, verbose=False)
    pad = pad_token_id(tokenizer)
    return [ids or [pad] for ids in encoded["input_ids"]]


def noisy(text: str, rng: random.Random) -> str:
    """Return the text as another writer might have typed it: no cashtags, slips of the keys, an emoji, cut short."""
    draw = rng.random()
    if draw < 0.1:
        return _CASHTAG.sub("", text) or text
    if draw < 0.24:
        return mistyped(text, rng)
    if draw < 0.3:
        mark = "".join(rng.choices(_MARKS, k=rng.randint(1, 2)))
        return f"{mark} {text}" if rng.random() < 0.5 else f"{text} {mark}"
    if draw < 0.35:
        return text.strip(" .。!！?？") or text
    return text


def mistyped(text: str, rng: random.Random) -> str:
    """Swap, drop or double a character about once in thirty, and at least once; digits and the ends stay."""
    characters = list(text)
    places = [at for at in range(1, len(text) - 2) if not (text[at].isdigit() or text[at + 1].isdigit())]
    for at in rng.sample(places, min(len(places), max(1, len(text) // 30))):
        slip = rng.random()
        if slip < 0.5:
            characters[at], characters[at + 1] = characters[at + 1], characters[at]
        else:
            characters[at] = "" if slip < 0.75 else characters[at] * 2
    return "".join(characters)


def cropped(text: str, rng: random.Random) -> str:
    """Return a span of 40 to 80 percent of the text: a new text for a teacher to label, though no reader would."""
    length = max(1, int(len(text) * rng.uniform(0.4, 0.8)))
    start = rng.randrange(len(text) - length + 1)
    return text[start : start + length].strip() or text


def drop_tokens(ids: Sequence[int], share: float, rng: random.Random) -> list[int]:
    """Drop about `share` of the tokens but never the last one, which is pooled."""
    return [token for token in ids[:-1] if rng.random() >= share] + [ids[-1]]


def shuffled_batches(ids: Sequence[Sequence[int]], size: int, pad: int, seed: int) -> list[Batch]:
    """Group all rows into batches of `size` with little padding, in random order: sorted within pools of 40 batches."""
    rng = random.Random(seed)
    order = list(range(len(ids)))
    rng.shuffle(order)
    groups: list[list[int]] = []
    for start in range(0, len(order), size * _POOL):
        pool = sorted(order[start : start + size * _POOL], key=lambda row: len(ids[row]))
        groups.extend(pool[at : at + size] for at in range(0, len(pool), size))
    rng.shuffle(groups)
    return [padded([ids[row] for row in group], pad, group) for group in groups]


def ordered_batches(ids: Sequence[Sequence[int]], size: int, pad: int) -> list[Batch]:
    """Group all rows into batches of `size`, longest last."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    groups = [order[at : at + size] for at in range(0, len(order), size)]
    return [padded([ids[row] for row in group], pad, group) for group in groups]


def padded(ids: Sequence[Sequence[int]], pad: int, rows: Sequence[int]) -> Batch:
    """Pad to a multiple of four tokens, so that few distinct shapes reach the kernels."""
    longest = -(-max(len(row) for row in ids) // 4) * 4
    block = torch.full((len(ids), longest), pad, dtype=torch.long)
    for at, row in enumerate(ids):
        block[at, : len(row)] = torch.tensor(row)
    return Batch(block, torch.tensor([len(row) for row in ids]), torch.tensor(rows))
