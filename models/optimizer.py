"""AdamW with layer-wise learning rates, and the schedule of the rate: linear warm-up, then cosine decay.

A pretrained trunk keeps more of what it knows when its lower blocks move less (Howard & Ruder 2018): with a decay of
0.9 the block d below the top learns at lr * 0.9**d, the embeddings below the lowest block, the heads at lr.
"""

import math
import re

import torch
from torch import nn

from models.hyperparameters import TrainSettings

_BLOCK = re.compile(r"\btransformer\.h\.(\d+)\.")
_EMBEDDING = re.compile(r"\btransformer\.w[tp]e\.")


def build_optimizer(learner: nn.Module, settings: TrainSettings, blocks: int) -> torch.optim.AdamW:
    """Return the optimizer of the weights that are trained; matrices decay, biases and norms do not."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            decay = settings.weight_decay if parameter.dim() >= 2 else 0.0
            groups.setdefault((rate_share(name, blocks, settings.layer_decay), decay), []).append(parameter)
    described = [
        {"params": parameters, "weight_decay": decay, "share": share}
        for (share, decay), parameters in sorted(groups.items(), key=lambda group: group[0], reverse=True)
    ]
    return torch.optim.AdamW(described, lr=settings.lr, betas=(0.9, 0.98), eps=1e-6, fused=True)


def rate_share(name: str, blocks: int, decay: float) -> float:
    """Return the share of the learning rate that a parameter gets, by its name in a trunk of so many blocks."""
    if block := _BLOCK.search(name):
        return decay ** (blocks - 1 - int(block[1]))
    return float(decay**blocks) if _EMBEDDING.search(name) else 1.0


def set_rate(optimizer: torch.optim.Optimizer, settings: TrainSettings, step: int, steps: int) -> float:
    """Set every group's rate for a step of a run, counted from 0, and return the heads' rate."""
    warm = max(1, int(settings.warmup * steps))
    share = (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
    rate = settings.lr * max(share, 0.01)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
    return rate
