"""Parameter-efficient fine-tuning: put adapters into a classifier, and fold them into ordinary weights.

LoRA and AdaLoRA are peft's. peft has no bottleneck adapter (its own names for adapters are prompts, scalings and other
low-rank updates), so `adapter` is written here: the parallel adapter of He et al. (2022), Houlsby's bottleneck placed
beside the MLP and with the MLP's activation. Such a bottleneck is nothing but more hidden units, so it folds into a
wider MLP exactly, which the sequential one of Houlsby et al. (2019) cannot. A checkpoint therefore never holds an
adapter, and the engine never needs peft.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import TrainingError
from models.hyperparameters import TrainSettings
from models.model import GPT2Monitor, quiet_transformers

_NAME = "default"
_PROJECTIONS = ["c_attn", "c_proj", "c_fc"]
_DROPOUT = 0.05
_ORTHOGONALITY = 0.1
_ADAPTER_PART = re.compile(r"\.(lora_[A-Z]|ranknum|down|up)\b")


class BottleneckMLP(nn.Module):
    """A block's MLP with a trainable bottleneck beside it; untrained, it adds nothing."""

    def __init__(self, mlp: Any, states: int, width: int) -> None:
        super().__init__()
        self.mlp = mlp
        self.down = nn.Linear(states, width)
        self.up = nn.Linear(width, states, bias=False)
        nn.init.normal_(self.down.weight, std=0.02)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)

    def forward(self, states: Tensor) -> Tensor:
        """Map states (n, tokens, width of the trunk) to states of the same shape."""
        beside = self.mlp.dropout(self.up(self.mlp.act(self.down(states))))
        added: Tensor = self.mlp(states) + beside
        return added


class Tuning:
    """What a method does besides training the weights it left trainable."""

    def __init__(self, allocator: Any = None) -> None:
        self._allocator = allocator

    def penalty(self) -> Tensor | None:
        """Return what a step adds to the loss: AdaLoRA's distance of its factors from orthogonal ones."""
        if self._allocator is None:
            return None
        distances = []
        for name, factor in self._allocator.model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                square = factor @ factor.T if "lora_A" in name else factor.T @ factor
                distances.append(torch.linalg.norm(square - torch.eye(len(square), device=square.device)))
        return _ORTHOGONALITY * torch.stack(distances).mean()

    def after_step(self, step: int) -> None:
        """Let AdaLoRA move ranks, while the gradients of the step (counted from 0) are still there."""
        if self._allocator is not None:
            self._allocator.update_and_allocate(step)

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs besides the weights: AdaLoRA's importances and ranks."""
        if self._allocator is None:
            return {}
        ranks = self._allocator.peft_config[_NAME].rank_pattern or {}
        kept = {f"rank_pattern|{name}": torch.tensor(pattern) for name, pattern in ranks.items()}
        for table in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
            values = getattr(self._allocator.rankallocator, table)
            kept |= {f"{table}|{name}": value.detach().clone() for name, value in values.items()}
        return kept

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        if self._allocator is None:
            return
        device = next(self._allocator.model.parameters()).device
        tables: dict[str, dict[str, Any]] = {"rank_pattern": {}}
        for key, value in state.items():
            table, name = key.split("|", 1)
            tables.setdefault(table, {})[name] = value.tolist() if table == "rank_pattern" else value.to(device)
        self._allocator.peft_config[_NAME].rank_pattern = tables.pop("rank_pattern") or None
        for table, values in tables.items():
            setattr(self._allocator.rankallocator, table, values)


def tune(model: GPT2Monitor, settings: TrainSettings, steps: int) -> Tuning:
    """Prepare a classifier for a run of so many steps by the settings' method, in place.

    Raises:
        TrainingError: AdaLoRA has no step to move ranks in.
    """
    if settings.method == "full":
        return Tuning()
    model.requires_grad_(False)
    tuning = Tuning(_peft(model, settings, steps)) if settings.method != "adapter" else _bottlenecks(model, settings)
    model.sentiment_head.requires_grad_(True)
    model.topic_head.requires_grad_(True)
    return tuning


def folded(model: GPT2Monitor) -> GPT2Monitor:
    """Return a classifier without adapters that computes the same, on the CPU; the model itself where it has none."""
    if not any(_ADAPTER_PART.search(name) for name in model.state_dict()):
        return model
    weights = {
        name.replace(".base_layer", "").replace(".mlp.mlp.", ".mlp."): value.detach().cpu().clone()
        for name, value in model.state_dict().items()
        if not _ADAPTER_PART.search(name)
    }
    config = copy.deepcopy(model.config)
    for name, module in model.named_modules():
        if hasattr(module, "get_delta_weight"):
            weights[f"{name}.weight"] += module.get_delta_weight(_NAME).detach().cpu()
        elif isinstance(module, BottleneckMLP):
            config.n_inner = _widen(weights, name, module)
    with quiet_transformers():
        plain: GPT2Monitor = GPT2Monitor(config).eval()
    plain.load_state_dict(weights)
    return plain


def _peft(model: GPT2Monitor, settings: TrainSettings, steps: int) -> Any:
    """Put peft's layers around the projections; return AdaLoRA's allocator, nothing for LoRA."""
    from peft import AdaLoraConfig, AdaLoraModel, LoraConfig, LoraModel

    common = {"fan_in_fan_out": True, "target_modules": _PROJECTIONS, "lora_dropout": _DROPOUT}
    if settings.method == "lora":
        LoraModel(model, LoraConfig(r=settings.width, lora_alpha=2 * settings.width, **common), _NAME)
        return None
    if steps < 2:
        raise TrainingError("adalora needs two steps or more to share out ranks: raise --epochs or lower --batch-size")
    most = settings.width + max(1, settings.width // 2)
    schedule = {"tinit": steps // 10, "tfinal": max(1, steps * 3 // 10), "deltaT": max(1, steps // 100)}
    ranks = {"init_r": most, "target_r": settings.width, "lora_alpha": 2 * most}
    return AdaLoraModel(model, AdaLoraConfig(total_step=steps, **ranks, **schedule, **common), _NAME)


def _bottlenecks(model: GPT2Monitor, settings: TrainSettings) -> Tuning:
    for block in model.transformer.h:
        block.mlp = BottleneckMLP(block.mlp, model.config.n_embd, settings.width)
    return Tuning()


def _widen(weights: dict[str, Tensor], name: str, bottleneck: BottleneckMLP) -> int:
    """Append a bottleneck's units to the MLP of that name; return how many hidden units it has then."""
    down, up = bottleneck.down, bottleneck.up
    joined = {
        "c_fc.weight": (down.weight.T, 1),
        "c_fc.bias": (down.bias, 0),
        "c_proj.weight": (up.weight.T, 0),
    }
    for part, (value, axis) in joined.items():
        weights[f"{name}.{part}"] = torch.cat([weights[f"{name}.{part}"], value.detach().cpu()], axis).contiguous()
    return len(weights[f"{name}.c_fc.bias"])
