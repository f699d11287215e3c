"""Distillation: fine-tune the teacher on the labelled rows, then write down what it says of every row.

The student, grown out of the teacher before that (`models/graft.py`), gets two things from it: soft labels for both
heads of every row (Hinton et al. 2015), also for the head that the row has no label for, and pooled states to match.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.batches import noisy
from models.devices import autocast
from models.losses import MultiTaskLoss, Targets, class_weights
from models.model import MonitorOutput
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
    """Train the teacher's layers and heads on the rows' labels, in place; its word embeddings stay."""
    torch.manual_seed(seed)
    targets = hard_targets(rows)
    loss = MultiTaskLoss(class_weights(targets.sentiment, 3), class_weights(targets.topic, 20), 0.05, 0.0, 0.0)
    groups = _layer_rates(teacher, settings)
    tuned = [parameter for group in groups for parameter in group["params"]]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    steps = settings.epochs * -(-len(rows) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=steps + 1, pct_start=0.08,
        anneal_strategy="linear", cycle_momentum=False,
    )  # fmt: skip
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


def _layer_rates(teacher: Teacher, settings: TeacherSettings) -> list[dict[str, Any]]:
    """Return AdamW's groups: heads at their own rate, each layer slower than the one above; word embeddings stay."""
    layers = teacher.encoder.config.num_hidden_layers
    groups = []
    for name, parameter in teacher.named_parameters():
        if "word_embeddings" in name:
            parameter.requires_grad_(False)
            continue
        rate = settings.head_lr
        if name.startswith("encoder.encoder.layer."):
            rate = settings.lr * settings.layer_decay ** (layers - 1 - int(name.split(".")[3]))
        elif name.startswith("encoder."):
            rate = settings.lr * settings.layer_decay**layers
        groups.append({"params": [parameter], "lr": rate, "weight_decay": 0.01 if parameter.dim() > 1 else 0.0})
    return groups


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
