"""Fine-tune a classifier on partly labelled rows.

One loop serves every base: the shipped checkpoint, any GPT-2 and the recipe that builds the shipped checkpoint from
nothing. AdamW (Loshchilov & Hutter 2019) with linear warm-up and cosine decay; the epoch with the best held-back macro
F1 is kept, and its temperatures are fitted on the held-back rows (Guo et al. 2017).
"""

import hashlib
import math
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from models.batches import Batch, drop_tokens, encode, noisy, ordered_batches, shuffled_batches
from models.calibration import threshold_for
from models.devices import autocast, pick_device
from models.errors import DataError, TrainingError
from models.labels import SENTIMENTS, TOPICS
from models.losses import MultiTaskLoss, Targets, class_weights
from models.model import GPT2Monitor, load_monitor, pad_token_id, save_monitor
from models.quality import HeadQuality, fit_temperature, measure, softmax
from models.rows import MISSING, Row
from models.state import Progress, load_state, save_state, state_folder


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train; the defaults suit fine-tuning the shipped checkpoint on a few thousand rows."""

    epochs: int = 5
    batch_size: int = 32
    lr: float = 3e-4
    weight_decay: float = 0.05
    warmup: float = 0.06
    clip: float = 1.0
    smoothing: float = 0.05
    token_dropout: float = 0.05
    patience: int = 3
    max_tokens: int = 128
    seed: int = 7
    device: str = "auto"
    soft_weight: float = 2.0
    state_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave."""

    number: int
    loss: float
    figures: HeadQuality


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The kept epoch, its held-back figures and every epoch's course."""

    out: Path
    best_epoch: int
    figures: HeadQuality
    epochs: tuple[Epoch, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "checkpoint": str(self.out),
            "best_epoch": self.best_epoch,
            "held_back": self.figures.as_dict(),
            "epochs": [
                {"epoch": epoch.number, "loss": round(epoch.loss, 4)} | epoch.figures.as_dict() for epoch in self.epochs
            ],
        }


Watcher = Callable[[int, int, int, float], None]
"""Called after each step with epoch, step, steps of the epoch and the running loss."""


class Learner(nn.Module):
    """The classifier and, where a teacher gives states to match, a projection into the teacher's space."""

    def __init__(self, model: GPT2Monitor, teacher_width: int) -> None:
        super().__init__()
        self.model = model
        self.projection = nn.Linear(model.config.n_embd, teacher_width) if teacher_width else None

    def project(self, pooled: Tensor) -> Tensor | None:
        """Return the pooled states in the teacher's space, or nothing without a teacher."""
        return self.projection(pooled) if self.projection is not None else None


def train(
    model: GPT2Monitor,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
    held_back: Sequence[Row],
    settings: TrainSettings,
    out: Path,
    *,
    targets: Targets | None = None,
    resume: bool = False,
    half: bool = True,
    watch: Watcher | None = None,
) -> TrainReport:
    """Train on `rows`, keep the best epoch by `held_back`, and write a checkpoint to `out`.

    Raises:
        DataError: no row carries a label, or nothing is held back.
        TrainingError: the loss stopped being finite, or there is no matching state to resume.
        CheckpointError: `out` cannot be written.
    """
    _require_labels(rows, held_back)
    settings = replace(settings, max_tokens=min(settings.max_tokens, model.config.n_positions))
    torch.manual_seed(settings.seed)
    targets = targets or hard_targets(rows)
    teacher_width = 0 if targets.states is None else targets.states.shape[1]
    device = pick_device(settings.device)
    learner = Learner(model, teacher_width).to(device)
    optimizer = _optimizer(learner, settings)
    progress = Progress(_fingerprint(rows, settings))
    if resume:
        progress = load_state(out, learner, optimizer, progress.fingerprint)
    loss = MultiTaskLoss(
        class_weights(targets.sentiment, len(SENTIMENTS)),
        class_weights(targets.topic, len(TOPICS)),
        settings.smoothing,
        settings.soft_weight,
        settings.state_weight,
    ).to(device)
    course: list[Epoch] = []
    while progress.epoch < settings.epochs and progress.epoch - progress.best_epoch < settings.patience:
        mean = _one_epoch(learner, tokenizer, rows, targets, loss, optimizer, settings, progress.epoch, watch)
        progress.epoch += 1
        figures, _ = assess(model, tokenizer, held_back, settings.max_tokens)
        figure = _selection_figure(figures)
        if figure > progress.best:
            progress.best, progress.best_epoch = figure, progress.epoch
            save_monitor(model, tokenizer, out, half=half)
        save_state(out, learner, optimizer, progress)
        course.append(Epoch(progress.epoch, mean, figures))
    calibrated = _calibrate(out, held_back, settings, half)
    shutil.rmtree(state_folder(out))
    return TrainReport(out, progress.best_epoch, calibrated, tuple(course))


def hard_targets(rows: Sequence[Row]) -> Targets:
    """Return the rows' own labels as targets."""
    return Targets(torch.tensor([row.sentiment for row in rows]), torch.tensor([row.topic for row in rows]))


def assess(
    model: GPT2Monitor, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row], max_tokens: int
) -> tuple[HeadQuality, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return both heads' figures on the rows, with the model's temperatures, and their raw logits."""
    logits = predict_logits(model, tokenizer, [row.text for row in rows], max_tokens)
    labels = np.array([row.sentiment for row in rows]), np.array([row.topic for row in rows])
    sentiment = measure(labels[0], softmax(logits[0] / model.config.sentiment_temperature))
    topic = measure(labels[1], softmax(logits[1] / model.config.topic_temperature))
    return HeadQuality(sentiment, topic), logits


def predict_logits(
    model: GPT2Monitor, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sentiment (n, 3) and topic (n, 20) logits of the plain forward pass, in the order of the texts."""
    sentiment = np.zeros((len(texts), len(SENTIMENTS)))
    topic = np.zeros((len(texts), len(TOPICS)))
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        for batch in ordered_batches(encode(tokenizer, texts, max_tokens), 64, pad_token_id(tokenizer)):
            output = model(batch.ids.to(device), batch.lengths.to(device))
            sentiment[batch.rows.numpy()] = output.sentiment.float().cpu().numpy()
            topic[batch.rows.numpy()] = output.topic.float().cpu().numpy()
    return sentiment, topic


def _one_epoch(
    learner: Learner,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
    targets: Targets,
    loss: MultiTaskLoss,
    optimizer: torch.optim.Optimizer,
    settings: TrainSettings,
    epoch: int,
    watch: Watcher | None,
) -> float:
    learner.train()
    batches = _epoch_batches(tokenizer, rows, settings, epoch)
    device = loss.sentiment_weights.device
    total = 0.0
    for step, batch in enumerate(batches):
        torch.manual_seed(settings.seed * 1_000_003 + epoch * len(batches) + step)
        _set_lr(optimizer, settings, epoch * len(batches) + step, settings.epochs * len(batches))
        with autocast(device):
            output = learner.model(batch.ids.to(device), batch.lengths.to(device))
            projected = learner.project(output.pooled)
        value = loss(output, projected, _to(targets.at(batch.rows), device))
        if not torch.isfinite(value):
            raise TrainingError(f"loss became {value.item()} in epoch {epoch + 1}: lower --lr")
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), settings.clip)
        optimizer.step()
        total += value.item()
        if watch is not None:
            watch(epoch + 1, step + 1, len(batches), total / (step + 1))
    return total / len(batches)


def _epoch_batches(
    tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row], settings: TrainSettings, epoch: int
) -> list[Batch]:
    rng = random.Random(settings.seed * 1_000_003 + epoch)
    ids = encode(tokenizer, [noisy(row.text, rng) for row in rows], settings.max_tokens)
    thinned = [drop_tokens(row, settings.token_dropout, rng) for row in ids]
    return shuffled_batches(thinned, settings.batch_size, pad_token_id(tokenizer), rng.randrange(2**31))


def _optimizer(learner: Learner, settings: TrainSettings) -> torch.optim.AdamW:
    decayed = [p for p in learner.parameters() if p.dim() >= 2]
    rest = [p for p in learner.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.98), eps=1e-6, fused=True)


def _set_lr(optimizer: torch.optim.Optimizer, settings: TrainSettings, step: int, steps: int) -> None:
    warm = max(1, int(settings.warmup * steps))
    share = (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
    for group in optimizer.param_groups:
        group["lr"] = settings.lr * max(share, 0.01)


def _selection_figure(figures: HeadQuality) -> float:
    known = [quality.macro_f1 for quality in (figures.sentiment, figures.topic) if quality.n]
    return sum(known) / len(known)


def _calibrate(out: Path, held_back: Sequence[Row], settings: TrainSettings, half: bool) -> HeadQuality:
    model, tokenizer = load_monitor(str(out.resolve()))
    _, logits = assess(model, tokenizer, held_back, settings.max_tokens)
    labels = np.array([row.sentiment for row in held_back])
    model.config.sentiment_temperature = fit_temperature(labels, logits[0])
    model.config.abstain_below = threshold_for(labels, softmax(logits[0] / model.config.sentiment_temperature))
    model.config.topic_temperature = fit_temperature(np.array([row.topic for row in held_back]), logits[1])
    save_monitor(model, tokenizer, out, half=half)
    return assess(model, tokenizer, held_back, settings.max_tokens)[0]


def _require_labels(rows: Sequence[Row], held_back: Sequence[Row]) -> None:
    for name, part in (("training", rows), ("held-back", held_back)):
        if not any(row.sentiment != MISSING or row.topic != MISSING for row in part):
            raise DataError(f"no labelled {name} rows: give more rows with `sentiment` or `topic`")


def _fingerprint(rows: Sequence[Row], settings: TrainSettings) -> str:
    digest = hashlib.blake2b(repr(sorted(asdict(replace(settings, patience=0)).items())).encode(), digest_size=8)
    for row in rows:
        digest.update(f"{row.sentiment}|{row.topic}|{row.text}".encode("utf-8", "replace"))
    return digest.hexdigest()


def _to(targets: Targets, device: torch.device) -> Targets:
    values = (targets.sentiment, targets.topic, targets.soft_sentiment, targets.soft_topic, targets.states)
    moved = [None if value is None else value.to(device) for value in values]
    assert moved[0] is not None and moved[1] is not None
    return Targets(moved[0], moved[1], *moved[2:])
