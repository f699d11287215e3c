"""Fine-tune a classifier on partly labelled rows.

One loop serves every base and method: the shipped checkpoint, any GPT-2 with or without adapters, and the recipe that
builds the shipped checkpoint from nothing. AdamW (Loshchilov & Hutter 2019); the epoch with the best held-back macro F1
is kept, adapters folded in, and its temperatures are fitted on the held-back rows (Guo et al. 2017).
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from models.adapters import folded, tune
from models.assess import assess, calibrate, selection_figure
from models.devices import memory_told, pick_device
from models.epoch import Learner, Recorder, Run, Watcher, steps_per_epoch, train_epoch
from models.errors import DataError
from models.hyperparameters import TrainSettings
from models.labels import SENTIMENTS
from models.losses import MultiTaskLoss, Targets, class_weights
from models.model import GPT2Monitor, save_monitor
from models.optimizer import build_optimizer
from models.pretrain import PretrainReport
from models.quality import HeadQuality
from models.rows import MISSING, Row
from models.state import Progress, load_state, save_state, state_folder

__all__ = ["Epoch", "TrainReport", "TrainSettings", "Watcher", "hard_targets", "require_labels", "train"]


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
    pretraining: PretrainReport | None = None
    """What continued pretraining brought, where it came first."""

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        before = {"pretraining": self.pretraining.as_dict()} if self.pretraining else {}
        return before | {
            "checkpoint": str(self.out),
            "best_epoch": self.best_epoch,
            "held_back": self.figures.as_dict(),
            "epochs": [
                {"epoch": epoch.number, "loss": round(epoch.loss, 4)} | epoch.figures.as_dict() for epoch in self.epochs
            ],
        }


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
    record: Recorder | None = None,
) -> TrainReport:
    """Train on `rows`, keep the best epoch by `held_back`, and write a checkpoint to `out`.

    Raises:
        DataError: no row carries a label, nothing is held back, or a head has but one class to learn.
        TrainingError: the loss stopped being finite, memory ran out, or there is no matching state to resume.
        CheckpointError: `out` cannot be written.
    """
    require_labels(rows, held_back, model.config.topics)
    settings = replace(settings, max_tokens=min(settings.max_tokens, model.config.n_positions))
    targets = targets or hard_targets(rows)
    run = _prepared(model, tokenizer, rows, targets, settings, watch or _unwatched, record or _unrecorded)
    progress = Progress(_fingerprint(rows, settings, model.config.topics))
    if resume:
        progress = load_state(out, run.learner, run.optimizer, run.tuning, progress.fingerprint)
    with memory_told():
        course = _epochs(run, held_back, out, progress, half)
    calibrated = calibrate(out, held_back, settings.max_tokens, half)
    shutil.rmtree(state_folder(out))
    return TrainReport(out, progress.best_epoch, calibrated, course)


def hard_targets(rows: Sequence[Row]) -> Targets:
    """Return the rows' own labels as targets."""
    return Targets(torch.tensor([row.sentiment for row in rows]), torch.tensor([row.topic for row in rows]))


def require_labels(rows: Sequence[Row], held_back: Sequence[Row], topics: Sequence[str]) -> None:
    """Refuse rows that nothing can be learnt from, or measured on.

    Raises:
        DataError: no row of one of the parts carries a label, or a head has but one class to learn.
    """
    for name, part in (("training", rows), ("held-back", held_back)):
        if not any(row.sentiment != MISSING or row.topic != MISSING for row in part):
            raise DataError(
                f"no labelled {name} rows: give more rows with `sentiment` or `topic`, or change --held-back"
            )
    heads: Mapping[str, tuple[set[int], Sequence[str]]] = {
        "sentiment": ({row.sentiment for row in rows} - {MISSING}, SENTIMENTS),
        "topic": ({row.topic for row in rows} - {MISSING}, topics),
    }
    for head, (found, names) in heads.items():
        if len(found) == 1:
            raise DataError(
                f"every labelled training row has the {head} {names[found.pop()]!r}: add rows of another, "
                f"or leave `{head}` out"
            )


def _prepared(
    model: GPT2Monitor,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
    targets: Targets,
    settings: TrainSettings,
    watch: Watcher,
    record: Recorder,
) -> Run:
    torch.manual_seed(settings.seed)
    device = pick_device(settings.device)
    if device.type == "cpu":
        model.set_attn_implementation("eager")  # the fused kernel's backward pass takes twice the time of a whole step
    tuning = tune(model, settings, settings.epochs * steps_per_epoch(len(rows), settings))
    learner = Learner(model, 0 if targets.states is None else targets.states.shape[1]).to(device)
    weigh = class_weights if settings.class_weights == "balanced" else _even_weights
    loss = MultiTaskLoss(
        weigh(targets.sentiment, len(SENTIMENTS)),
        weigh(targets.topic, len(model.config.topics)),
        settings.smoothing,
        settings.soft_weight,
        settings.state_weight,
    ).to(device)
    optimizer = build_optimizer(learner, settings, model.config.n_layer)
    return Run(learner, tokenizer, rows, targets, loss, optimizer, tuning, settings, watch, record)


def _epochs(run: Run, held_back: Sequence[Row], out: Path, progress: Progress, half: bool) -> tuple[Epoch, ...]:
    """Train until the epochs are done or nothing gets better; leave the best one's checkpoint in `out`."""
    model, settings = run.learner.model, run.settings
    course: list[Epoch] = []
    while progress.epoch < settings.epochs and progress.epoch - progress.best_epoch < settings.patience:
        mean = train_epoch(run, progress.epoch)
        progress.epoch += 1
        figures, _ = assess(model, run.tokenizer, held_back, settings.max_tokens)
        figure = selection_figure(figures)
        if figure > progress.best:
            progress.best, progress.best_epoch = figure, progress.epoch
            save_monitor(folded(model), run.tokenizer, out, half=half)
        save_state(out, run.learner, run.optimizer, run.tuning, progress)
        run.record(progress.epoch * steps_per_epoch(len(run.rows), settings) - 1, _held_back_figures(figures))
        course.append(Epoch(progress.epoch, mean, figures))
    return tuple(course)


def _held_back_figures(figures: HeadQuality) -> dict[str, float]:
    heads = {"sentiment": figures.sentiment, "topic": figures.topic}
    return {
        f"held_back/{head}_{name}": getattr(quality, name)
        for head, quality in heads.items()
        if quality.n
        for name in ("accuracy", "macro_f1", "ece")
    }


def _even_weights(_labels: Tensor, classes: int) -> Tensor:
    return torch.ones(classes)


def _fingerprint(rows: Sequence[Row], settings: TrainSettings, topics: Sequence[str]) -> str:
    run = [*sorted(asdict(replace(settings, patience=1)).items()), *topics]
    digest = hashlib.blake2b(repr(run).encode(), digest_size=8)
    for row in rows:
        digest.update(f"{row.sentiment}|{row.topic}|{row.text}".encode("utf-8", "replace"))
    return digest.hexdigest()


def _unwatched(_epoch: int, _step: int, _steps: int, _loss: float) -> None:
    pass


def _unrecorded(_step: int, _figures: Mapping[str, float]) -> None:
    pass
