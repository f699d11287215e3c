"""Methods that train few weights: what they train, and that they fold into an ordinary checkpoint."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from models.adapters import folded, tune
from models.assess import predict_logits
from models.engine import Engine
from models.errors import TrainingError
from models.hyperparameters import METHODS, TrainSettings
from models.labels import TOPICS
from models.model import GPT2Monitor, load_monitor, save_monitor
from models.rows import Row
from models.settings import ModelsSettings
from models.train import train

SETTINGS = TrainSettings(epochs=2, batch_size=8, lr=1e-2, max_tokens=64, device="cpu", rank=4)
FEW = [method for method in METHODS if method != "full"]
Maker = Callable[[], GPT2Monitor]


def shaken(model: GPT2Monitor) -> GPT2Monitor:
    """The model with every trainable weight moved, as training would."""
    torch.manual_seed(5)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model.eval()


@pytest.mark.parametrize("method", FEW)
def test_the_folded_classifier_computes_what_the_adapted_one_computes(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path, method: str
) -> None:
    texts = [row.text for row in rows]
    untouched = predict_logits(new_model(), tokenizer, texts, 32)[1]
    model = new_model()
    tune(model, replace(SETTINGS, method=method), 10)
    assert predict_logits(model, tokenizer, texts, 32)[1] == pytest.approx(untouched, abs=1e-5)
    adapted = predict_logits(shaken(model), tokenizer, texts, 32)
    plain = folded(model)
    assert abs(adapted[1] - untouched).max() > 0.1
    for ours, theirs in zip(predict_logits(plain, tokenizer, texts, 32), adapted, strict=True):
        assert abs(ours - theirs).max() <= 1e-4
    save_monitor(plain, tokenizer, tmp_path)
    loaded, _ = load_monitor(str(tmp_path))
    assert predict_logits(loaded, tokenizer, texts, 32)[1] == pytest.approx(adapted[1], abs=1e-4)
    assert type(loaded.transformer.h[0].attn.c_attn).__module__.startswith("transformers")


@pytest.mark.parametrize("method", FEW)
def test_only_the_adapters_and_the_heads_are_trained(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path, method: str
) -> None:
    model = new_model()
    train(model, tokenizer, rows, rows[:12], replace(SETTINGS, method=method), tmp_path, half=False)
    before, after = new_model().state_dict(), load_file(tmp_path / "model.safetensors")
    moved = {name for name, value in before.items() if value.shape != after[name].shape or (value != after[name]).any()}
    assert {"sentiment_head.weight", "sentiment_head.bias", "topic_head.weight", "topic_head.bias"} <= moved
    projections = {name for name in before if ".c_" in name}
    assert moved - projections == {name for name in before if "head" in name}
    assert any("h.0.mlp.c_fc.weight" in name for name in moved)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_the_engine_serves_what_it_learnt(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path, method: str
) -> None:
    settings = replace(SETTINGS, method=method, epochs=10, patience=10)
    report = train(new_model(), tokenizer, rows, rows, settings, tmp_path)
    assert report.epochs[-1].loss < 0.9 * report.epochs[0].loss
    assert report.figures.topic.accuracy > 0.4
    engine = Engine.load(ModelsSettings(checkpoint=str(tmp_path), dtype="float32"))
    served = [TOPICS.index(score.topic) for score in engine.score([row.text for row in rows])]
    right = sum(topic == row.topic for topic, row in zip(served, rows, strict=True))
    assert right / len(rows) == pytest.approx(report.figures.topic.accuracy, abs=0.02)


def test_a_folded_adapter_is_a_base_for_the_next(new_model: Maker, tokenizer: PreTrainedTokenizerFast) -> None:
    model = new_model()
    for hidden in (4 * 32 + 4, 4 * 32 + 8):
        tune(model, replace(SETTINGS, method="adapter"), 10)
        model = folded(shaken(model))
        assert model.config.n_inner == hidden == model.transformer.h[0].mlp.c_fc.weight.shape[1]


def test_adalora_ends_with_the_ranks_it_was_given(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    model = new_model()
    train(model, tokenizer, rows, rows[:12], replace(SETTINGS, method="adalora", epochs=4, patience=9), tmp_path)
    singular = [value for name, value in model.named_parameters() if "lora_E" in name]
    assert sum(len(value) for value in singular) == 6 * 12
    kept = [int((value != 0).sum()) for value in singular]
    assert sum(kept) == 4 * 12
    assert len(set(kept)) > 1


def test_adalora_keeps_its_factors_near_orthogonal(new_model: Maker) -> None:
    model = new_model()
    tuning = tune(model, replace(SETTINGS, method="adalora"), 10)
    before = tuning.penalty()
    for name, factor in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            torch.nn.init.orthogonal_(factor)
    after = tuning.penalty()
    assert before is not None and after is not None
    assert after.item() < 1e-5 < before.item()
    assert tune(new_model(), SETTINGS, 10).penalty() is None


def test_one_step_is_too_few_for_adalora(new_model: Maker) -> None:
    with pytest.raises(TrainingError, match="two steps or more"):
        tune(new_model(), replace(SETTINGS, method="adalora"), 1)
    tune(new_model(), replace(SETTINGS, method="adalora"), 2)
