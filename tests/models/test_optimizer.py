"""Learning rates by layer and by step."""

from collections.abc import Callable

import pytest
import torch

from models.adapters import tune
from models.epoch import Learner, steps_per_epoch
from models.hyperparameters import TrainSettings
from models.model import GPT2Monitor
from models.optimizer import build_optimizer, rate_share, set_rate

Maker = Callable[[], GPT2Monitor]


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("model.topic_head.weight", 1.0),
        ("model.transformer.ln_f.weight", 1.0),
        ("projection.weight", 1.0),
        ("model.transformer.h.11.mlp.c_fc.weight", 1.0),
        ("model.transformer.h.10.attn.c_attn.lora_A.default.weight", 0.9),
        ("model.transformer.h.0.ln_1.bias", 0.9**11),
        ("model.transformer.wte.weight", 0.9**12),
        ("model.transformer.wpe.weight", 0.9**12),
    ],
)
def test_the_rate_falls_from_the_heads_to_the_embeddings(name: str, share: float) -> None:
    assert rate_share(name, 12, 0.9) == pytest.approx(share)
    assert rate_share(name, 12, 1.0) == 1.0


def rates(optimizer: torch.optim.Optimizer, learner: torch.nn.Module) -> dict[str, float]:
    """The current rate of every parameter that is trained."""
    names = {parameter: name for name, parameter in learner.named_parameters()}
    return {names[parameter]: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}


def test_every_trained_weight_is_in_one_group_at_its_layers_rate(new_model: Maker) -> None:
    learner = Learner(new_model(), teacher_width=5)
    settings = TrainSettings(lr=1e-2, layer_decay=0.5, warmup=0.0)
    optimizer = build_optimizer(learner, settings, 3)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(learner.parameters()))
    assert set_rate(optimizer, settings, 0, 100) == pytest.approx(1e-2)
    found = rates(optimizer, learner)
    assert found["model.sentiment_head.weight"] == found["projection.bias"] == pytest.approx(1e-2)
    assert found["model.transformer.h.2.ln_1.weight"] == pytest.approx(1e-2)
    assert found["model.transformer.h.0.ln_1.weight"] == pytest.approx(2.5e-3)
    assert found["model.transformer.wte.weight"] == pytest.approx(1.25e-3)


def test_frozen_weights_are_left_out_and_only_matrices_decay(new_model: Maker) -> None:
    learner = Learner(new_model(), 0)
    settings = TrainSettings(method="lora", layer_decay=0.5)
    tune(learner.model, settings, 10)
    optimizer = build_optimizer(learner, settings, 3)
    found = rates(optimizer, learner)
    assert all("lora_" in name or "head" in name for name in found)
    for group in optimizer.param_groups:
        assert {parameter.dim() >= 2 for parameter in group["params"]} == {group["weight_decay"] > 0}


def test_the_rate_rises_then_falls_and_never_stops(new_model: Maker) -> None:
    learner, settings = Learner(new_model(), 0), TrainSettings(lr=1.0, warmup=0.1)
    optimizer = build_optimizer(learner, settings, 3)
    course = [set_rate(optimizer, settings, step, 100) for step in range(100)]
    assert course[:10] == sorted(course[:10])
    assert course[10:] == sorted(course[10:], reverse=True)
    assert max(course) == 1.0
    assert min(course) == 0.01


def test_an_epoch_has_as_many_steps_as_groups_of_passes() -> None:
    assert steps_per_epoch(60, TrainSettings(batch_size=8)) == 8
    assert steps_per_epoch(60, TrainSettings(batch_size=8, accumulate=3)) == 3
    assert steps_per_epoch(1, TrainSettings(batch_size=8, accumulate=3)) == 1
