"""One epoch of training: every row once, in steps of one or more forward passes.

All randomness is drawn from (seed, epoch, pass), so an epoch does the same whether the run was interrupted before it or
not.
"""

import contextlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from models.adapters import Tuning
from models.batches import Batch, drop_tokens, encode, noisy, shuffled_batches
from models.devices import autocast
from models.errors import TrainingError
from models.hyperparameters import TrainSettings
from models.losses import MultiTaskLoss, Targets
from models.model import GPT2Monitor, MonitorOutput, pad_token_id
from models.optimizer import set_rate
from models.regularise import adversarial_step, disagreement, moved_embeddings, no_step, step_radius
from models.rows import Row

Watcher = Callable[[int, int, int, float], None]
"""Called after each forward pass with epoch, pass, passes of the epoch and the running loss."""

Recorder = Callable[[int, Mapping[str, float]], None]
"""Called with a step, counted from 0 over the whole run, and named figures of it."""


class Learner(nn.Module):
    """The classifier and, where a teacher gives states to match, a projection into the teacher's space."""

    def __init__(self, model: GPT2Monitor, teacher_width: int) -> None:
        super().__init__()
        self.model = model
        self.projection = nn.Linear(model.config.n_embd, teacher_width) if teacher_width else None

    def project(self, pooled: Tensor) -> Tensor | None:
        """Return the pooled states in the teacher's space, or nothing without a teacher."""
        return self.projection(pooled) if self.projection is not None else None


@dataclass(frozen=True, slots=True)
class Run:
    """What the epochs of one training run share."""

    learner: Learner
    tokenizer: PreTrainedTokenizerFast
    rows: Sequence[Row]
    targets: Targets
    loss: MultiTaskLoss
    optimizer: torch.optim.Optimizer
    tuning: Tuning
    settings: TrainSettings
    watch: Watcher
    record: Recorder

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.loss.sentiment_weights.device


def steps_per_epoch(rows: int, settings: TrainSettings) -> int:
    """Return how often an epoch over so many rows moves the weights."""
    passes = math.ceil(rows / settings.batch_size)
    return math.ceil(passes / settings.accumulate)


def train_epoch(run: Run, epoch: int) -> float:
    """Train on every row once, as epoch number `epoch` counted from 0; return the mean loss of its passes.

    Raises:
        TrainingError: the loss stopped being finite.
    """
    run.learner.train()
    settings = run.settings
    batches = _epoch_batches(run, epoch)
    radius = step_radius(run.learner.model.transformer.wte, settings.fgm) if settings.fgm else 0.0
    total, steps = 0.0, steps_per_epoch(len(run.rows), settings)
    for at in range(steps):
        first = at * settings.accumulate
        step = epoch * steps + at
        rate = set_rate(run.optimizer, settings, step, settings.epochs * steps)
        run.optimizer.zero_grad()
        group = batches[first : first + settings.accumulate]
        for number, batch in enumerate(group, start=first):
            torch.manual_seed(settings.seed * 1_000_003 + epoch * len(batches) + number)
            share = len(batch.rows) / sum(len(other.rows) for other in group)
            total += _add_gradients(run, batch, share, radius, epoch)
            run.watch(epoch + 1, number + 1, len(batches), total / (number + 1))
        norm = _move_weights(run, step)
        run.record(step, {"train/loss": total / (first + len(group)), "train/rate": rate, "train/gradient": norm})
    return total / len(batches)


def _move_weights(run: Run, step: int) -> float:
    if (penalty := run.tuning.penalty()) is not None:
        torch.autograd.backward(penalty)
    norm = nn.utils.clip_grad_norm_(run.learner.parameters(), run.settings.clip)
    run.optimizer.step()
    run.tuning.after_step(step)
    return float(norm)


def _add_gradients(run: Run, batch: Batch, share: float, radius: float, epoch: int) -> float:
    """Add the batch's share of the step's gradients, and those of its adversarial twin; return the batch's loss."""
    ids, lengths = batch.ids.to(run.device), batch.lengths.to(run.device)
    targets = run.targets.at(batch.rows).to(run.device)
    tokens = run.learner.model.transformer.wte
    still = no_step(tokens, ids) if radius else None
    with moved_embeddings(tokens, still) if still is not None else contextlib.nullcontext():
        value = _objective(run, ids, lengths, targets)
    if not torch.isfinite(value):
        raise TrainingError(f"loss became {value.item()} in epoch {epoch + 1}: lower --lr")
    torch.autograd.backward(value * share)
    if still is not None and still.grad is not None:
        with moved_embeddings(tokens, adversarial_step(still.grad, radius)):
            worst, _ = _pass(run, ids, lengths, targets)
        torch.autograd.backward(worst * share)
    return value.item()


def _objective(run: Run, ids: Tensor, lengths: Tensor, targets: Targets) -> Tensor:
    """Return the loss of one pass, or with R-Drop the mean loss of two and their weighed disagreement."""
    value, output = _pass(run, ids, lengths, targets)
    if not run.settings.rdrop:
        return value
    other, second = _pass(run, ids, lengths, targets)
    return (value + other) / 2 + run.settings.rdrop * disagreement(output, second)


def _pass(run: Run, ids: Tensor, lengths: Tensor, targets: Targets) -> tuple[Tensor, MonitorOutput]:
    with autocast(run.device):
        output: MonitorOutput = run.learner.model(ids, lengths)
        projected = run.learner.project(output.pooled)
    value: Tensor = run.loss(output, projected, targets)
    return value, output


def _epoch_batches(run: Run, epoch: int) -> list[Batch]:
    settings = run.settings
    rng = random.Random(settings.seed * 1_000_003 + epoch)
    texts = [noisy(row.text, rng) if settings.noise else row.text for row in run.rows]
    ids = encode(run.tokenizer, texts, settings.max_tokens)
    thinned = [drop_tokens(row, settings.token_dropout, rng) for row in ids]
    return shuffled_batches(thinned, settings.batch_size, pad_token_id(run.tokenizer), rng.randrange(2**31))
