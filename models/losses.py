"""The loss of one batch: both heads, over whichever labels its rows have, and a teacher's view where there is one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.model import MonitorOutput
from models.rows import MISSING


@dataclass(frozen=True, slots=True)
class Targets:
    """What the rows of a batch, or of a whole training set, should give."""

    sentiment: Tensor
    """Class indices (n,), `MISSING` where unlabelled."""
    topic: Tensor
    """Class indices (n,), `MISSING` where unlabelled."""
    soft_sentiment: Tensor | None = None
    """A teacher's probabilities, (n, 3)."""
    soft_topic: Tensor | None = None
    """A teacher's probabilities, (n, topics)."""
    states: Tensor | None = None
    """A teacher's pooled states, (n, teacher width)."""

    def at(self, rows: Tensor) -> "Targets":
        """Return the targets of some rows."""
        pick = [None if value is None else value[rows] for value in (self.soft_sentiment, self.soft_topic, self.states)]
        return Targets(self.sentiment[rows], self.topic[rows], *pick)

    def to(self, device: torch.device) -> "Targets":
        """Return the targets on a device."""
        rest = (self.soft_sentiment, self.soft_topic, self.states)
        moved = [None if value is None else value.to(device) for value in rest]
        return Targets(self.sentiment.to(device), self.topic.to(device), *moved)


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Return weights (classes,) that fall with the square root of a class's frequency and average 1 over the rows."""
    counts = torch.bincount(labels[labels != MISSING], minlength=classes).float()
    weights = counts.clamp(min=1).rsqrt()
    total = (weights * counts).sum()
    return weights * counts.sum() / total if total > 0 else torch.ones(classes)


class MultiTaskLoss(nn.Module):
    """Cross-entropy of both heads, plus distillation (Hinton et al. 2015) where targets carry a teacher's view."""

    sentiment_weights: Tensor
    topic_weights: Tensor

    def __init__(
        self, sentiment_weights: Tensor, topic_weights: Tensor, smoothing: float, soft: float, states: float
    ) -> None:
        super().__init__()
        self.register_buffer("sentiment_weights", sentiment_weights, persistent=False)
        self.register_buffer("topic_weights", topic_weights, persistent=False)
        self.smoothing = smoothing
        self.soft = soft
        self.states = states

    def forward(self, output: MonitorOutput, projected: Tensor | None, targets: Targets) -> Tensor:
        """Return the summed loss; `projected` is the pooled state in the teacher's space, if there is a teacher."""
        loss = self._hard(output.sentiment, targets.sentiment, self.sentiment_weights)
        loss = loss + self._hard(output.topic, targets.topic, self.topic_weights)
        if targets.soft_sentiment is not None and targets.soft_topic is not None:
            loss = loss + self.soft * _divergence(output.sentiment, targets.soft_sentiment)
            loss = loss + self.soft * _divergence(output.topic, targets.soft_topic)
        if targets.states is not None and projected is not None:
            distance = 1 - F.cosine_similarity(projected.float(), targets.states, dim=-1)
            loss = loss + self.states * distance.mean()
        return loss

    def _hard(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        known = (labels != MISSING).sum()
        total = F.cross_entropy(
            logits.float(),
            labels,
            weight=weights,
            ignore_index=MISSING,
            label_smoothing=self.smoothing,
            reduction="sum",
        )
        return total / known.clamp(min=1)


def _divergence(logits: Tensor, probabilities: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(logits.float(), dim=-1), probabilities, reduction="batchmean")
