"""Continue the pretraining of a trunk on unlabelled text of the user's own field, before it is fine-tuned.

Next-token prediction, as GPT-2 itself was trained (Gururangan et al. 2020 on why: a model that has read a field's text
does its tasks better). Texts are packed end to end into blocks without padding. The token embedding serves as the
language-model head, for this step alone: the classifier keeps no such head.
"""

import math
import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from models.devices import autocast, memory_told, pick_device
from models.epoch import Recorder
from models.errors import DataError, TrainingError
from models.hyperparameters import TrainSettings
from models.model import GPT2Monitor
from models.optimizer import build_optimizer, set_rate
from models.rows import content_bucket

Watcher = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps in all."""

HELD_BACK = 5
"""Percent of the texts that perplexity is measured on and no step sees."""

_TOKENISED_TOGETHER = 1000


@dataclass(frozen=True, slots=True)
class PretrainReport:
    """What was read and what it brought; perplexity is that of the held-back texts, per token."""

    tokens: int
    held_back_tokens: int
    perplexity_before: float
    perplexity_after: float

    def exact(self) -> dict[str, str]:
        """Return the report as text that `of` reads back exactly."""
        return {name: repr(value) for name, value in asdict(self).items()}

    @classmethod
    def of(cls, exact: Mapping[str, str]) -> Self:
        """Return the report that `exact` wrote."""
        perplexities = float(exact["perplexity_before"]), float(exact["perplexity_after"])
        return cls(int(exact["tokens"]), int(exact["held_back_tokens"]), *perplexities)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(self).items()}


def pretrain(
    model: GPT2Monitor,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    settings: TrainSettings,
    watch: Watcher,
    record: Recorder,
) -> PretrainReport:
    """Train the model's whole trunk on the texts, in place; of the settings, `max_tokens` is the length of a block.

    Raises:
        DataError: there are fewer than two texts with tokens.
        TrainingError: the loss stopped being finite, or memory ran out.
    """
    device = pick_device(settings.device)
    block = min(settings.max_tokens, model.config.n_positions)
    learnt, held = _split(texts)
    stream, aside = packed(tokenizer, learnt), packed(tokenizer, held)
    if min(len(stream), len(aside)) < 2:
        raise DataError("too little text to pretrain on: give a file with more than one text, one a line")
    with memory_told():
        model.to(device)
        before = perplexity(model, aside, block, settings.batch_size)
        watch("pretraining: measure", 1, 2)
        _train(model, _blocks(stream, block), settings, watch, record)
        after = perplexity(model, aside, block, settings.batch_size)
        watch("pretraining: measure", 2, 2)
    return PretrainReport(len(stream), len(aside), before, after)


def packed(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Tensor:
    """Return the tokens of all texts end to end, (n,), each text closed by the tokenizer's end or separator token."""
    ends = (token for token in (tokenizer.eos_token_id, tokenizer.sep_token_id) if token is not None)
    end = next(ends, None)
    stream = array("i")
    for start in range(0, len(texts), _TOKENISED_TOGETHER):
        for ids in tokenizer(list(texts[start : start + _TOKENISED_TOGETHER]), verbose=False)["input_ids"]:
            stream.extend(ids)
            if end is not None and (not ids or ids[-1] != end):
                stream.append(end)
    return torch.tensor(stream, dtype=torch.long)


def perplexity(model: GPT2Monitor, stream: Tensor, block: int, batch_size: int) -> float:
    """Return exp(mean negative log-likelihood) of every token of the stream that has one before it in its block."""
    total, count = 0.0, 0
    model.eval()
    with torch.inference_mode():
        for ids in _batches(_blocks(stream, block), batch_size):
            predicted = ids[:, 1:].numel()
            total += next_token_loss(model, ids.to(model.device)).item() * predicted
            count += predicted
    return math.exp(min(total / count, 700.0))


def next_token_loss(model: GPT2Monitor, ids: Tensor) -> Tensor:
    """Return the mean cross-entropy of each next token of blocks (n, tokens), with the embedding as the head."""
    with autocast(model.device):
        states = model.transformer(input_ids=ids, use_cache=False).last_hidden_state
        logits = F.linear(states[:, :-1], model.transformer.wte.weight)
    return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


def _train(
    model: GPT2Monitor, blocks: Sequence[Tensor], settings: TrainSettings, watch: Watcher, record: Recorder
) -> None:
    optimizer = build_optimizer(model, settings, model.config.n_layer)
    per_epoch = len(_batches(blocks, settings.batch_size))
    steps = settings.epochs * per_epoch
    model.train()
    for step in range(steps):
        epoch, at = divmod(step, per_epoch)
        if at == 0:
            batches = _batches(blocks, settings.batch_size, random.Random(settings.seed * 1_000_003 + epoch))
        torch.manual_seed(settings.seed * 1_000_003 + step)
        rate = set_rate(optimizer, settings, step, steps)
        value = next_token_loss(model, batches[at].to(model.device))
        if not torch.isfinite(value):
            raise TrainingError(f"pretraining loss became {value.item()}: lower --pretraining-lr")
        optimizer.zero_grad()
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        record(step, {"pretraining/loss": value.item(), "pretraining/rate": rate})
        watch("pretraining", step + 1, steps)
    optimizer.zero_grad()


def _blocks(stream: Tensor, length: int) -> list[Tensor]:
    """Cut a stream into blocks; the last one may be shorter, and is left out where it has no next token to predict."""
    return [stream[at : at + length] for at in range(0, len(stream), length) if len(stream) - at > 1]


def _batches(blocks: Sequence[Tensor], size: int, rng: random.Random | None = None) -> list[Tensor]:
    """Stack whole blocks, in random order where there is an `rng`; a shorter last one is a batch of its own."""
    whole = [part for part in blocks if len(part) == len(blocks[0])]
    if rng is not None:
        rng.shuffle(whole)
    batches = [torch.stack(whole[at : at + size]) for at in range(0, len(whole), size)]
    if len(blocks[-1]) < len(blocks[0]):
        batches.append(blocks[-1][None])
    return batches


def _split(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hold back about `HELD_BACK` percent of the texts by content, and at least one."""
    buckets = [content_bucket(text) for text in texts]
    limit = max(HELD_BACK, min(buckets, default=0) + 1)
    learnt = [text for text, bucket in zip(texts, buckets, strict=True) if bucket >= limit]
    return learnt, [text for text, bucket in zip(texts, buckets, strict=True) if bucket < limit]
