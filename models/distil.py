"""Distillation: fine-tune the teacher on the labelled rows, then write down what it says of every row.

The student gets three things from it: soft labels for both heads of every row (Hinton et al. 2015), also for the head
that the row has no label for; pooled states to match; and token embeddings to start from, so that a Chinese word the
rows never use begins near its English and Chinese neighbours.
"""

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from models.batches import noisy
from models.devices import autocast
from models.errors import DataError
from models.losses import MultiTaskLoss, Targets, class_weights
from models.model import GPT2Monitor, MonitorOutput
from models.recipe import TeacherSettings
from models.rows import MISSING, Row
from models.teacher import Teacher
from models.train import hard_targets

Watcher = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps in all."""

_POOL = 40
_CPU = torch.device("cpu")


def fine_tune_teacher(
    teacher: Teacher, rows: Sequence[Row], settings: TeacherSettings, seed: int, watch: Watcher
) -> None:
    """Train the teacher's upper layers and heads on the rows' labels, in place; its token embeddings stay."""
    torch.manual_seed(seed)
    tuned = _freeze_lower(teacher, settings.frozen_layers)
    targets = hard_targets(rows)
    loss = MultiTaskLoss(class_weights(targets.sentiment, 3), class_weights(targets.topic, 20), 0.05, 0.0, 0.0)
    heads = [*teacher.sentiment_head.parameters(), *teacher.topic_head.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": tuned, "lr": settings.lr}, {"params": heads, "lr": settings.head_lr}], weight_decay=0.01, fused=True
    )
    steps = settings.epochs * -(-len(rows) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [settings.lr, settings.head_lr], total_steps=steps + 1, pct_start=0.1, anneal_strategy="linear"
    )
    teacher.train()
    step = 0
    for epoch in range(settings.epochs):
        rng = random.Random(seed * 1_000_003 + epoch)
        ids = teacher.tokenize([noisy(row.text, rng) for row in rows])
        for group in _groups([len(row) for row in ids], settings.batch_size, rng):
            with autocast(_CPU):
                sentiment, topic, pooled = teacher([ids[row] for row in group])
            value = loss(MonitorOutput(sentiment, topic, pooled), None, targets.at(torch.tensor(group)))
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(tuned, 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            watch("teacher: fine-tune", step, steps)


def teach(teacher: Teacher, texts: Sequence[str], watch: Watcher) -> tuple[Tensor, Tensor, Tensor]:
    """Return the teacher's sentiment (n, 3) and topic (n, 20) probabilities and its pooled states (n, width)."""
    ids = teacher.tokenize(texts)
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    teacher.eval()
    with torch.inference_mode(), autocast(_CPU):
        for start in range(0, len(order), 64):
            sentiment, topic, pooled = teacher([ids[row] for row in order[start : start + 64]])
            parts.append((sentiment.float().softmax(-1), topic.float().softmax(-1), pooled.float()))
            watch("teacher: label", min(start + 64, len(order)), len(order))
    back = torch.tensor(order).argsort()
    sentiment, topic, pooled = (torch.cat(column)[back].clone() for column in zip(*parts, strict=True))
    return sentiment, topic, pooled


def distilled_targets(rows: Sequence[Row], taught: tuple[Tensor, Tensor, Tensor]) -> Targets:
    """Join the rows' labels with the teacher's view; states are centred, since e5's all point one way.

    Where a row has a label, its soft target is half the label: a teacher that is wrong must not outweigh it.
    """
    hard = hard_targets(rows)
    sentiment, topic, states = taught
    centred = F.normalize(states - states.mean(0), dim=-1)
    return Targets(
        hard.sentiment,
        hard.topic,
        _half_label(sentiment, hard.sentiment),
        _half_label(topic, hard.topic),
        centred,
    )


def token_states(tokenizer: PreTrainedTokenizerFast, teacher: Teacher, watch: Watcher) -> tuple[Tensor, Tensor]:
    """Return the student's tokens that are readable alone (n,), and the teacher's state for each (n, width)."""
    names = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    readable = [token for token, name in enumerate(names) if name and "\ufffd" not in name]
    return torch.tensor(readable), teach(teacher, [names[token] for token in readable], watch)[2]


def adopt_embeddings(model: GPT2Monitor, tokens: Tensor, states: Tensor) -> None:
    """Start the student's token embeddings from the teacher's states, centred, at GPT-2's scale; others stay random.

    Raises:
        DataError: student and teacher differ in width.
    """
    table = model.transformer.wte.weight
    if states.shape[1] != table.shape[1]:
        raise DataError(f"student width {table.shape[1]} is not the teacher's {states.shape[1]}: change the recipe")
    centred = states - states.mean(0)
    with torch.no_grad():
        table[tokens] = centred / centred.std() * 0.04


def _freeze_lower(teacher: Teacher, layers: int) -> list[torch.nn.Parameter]:
    frozen = ("embeddings.", *(f"encoder.layer.{layer}." for layer in range(layers)))
    tuned = []
    for name, parameter in teacher.encoder.named_parameters():
        parameter.requires_grad_(not name.startswith(frozen))
        if parameter.requires_grad:
            tuned.append(parameter)
    return tuned


def _groups(lengths: Sequence[int], size: int, rng: random.Random) -> list[list[int]]:
    order = list(range(len(lengths)))
    rng.shuffle(order)
    groups: list[list[int]] = []
    for start in range(0, len(order), size * _POOL):
        pool = sorted(order[start : start + size * _POOL], key=lengths.__getitem__)
        groups.extend(pool[at : at + size] for at in range(0, len(pool), size))
    rng.shuffle(groups)
    return groups


def _half_label(soft: Tensor, labels: Tensor) -> Tensor:
    labelled = labels != MISSING
    mixed = soft.clone()
    mixed[labelled] = 0.5 * soft[labelled] + 0.5 * F.one_hot(labels[labelled], soft.shape[1])
    return mixed
