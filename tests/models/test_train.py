"""The training loop on tiny classifiers."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from models.assess import predict_logits
from models.batches import drop_tokens, shuffled_batches
from models.calibration import threshold_for
from models.errors import CheckpointError, DataError, SettingsError, TrainingError
from models.losses import MultiTaskLoss, Targets, class_weights
from models.model import GPT2Monitor, MonitorOutput, load_monitor
from models.quality import softmax
from models.rows import MISSING, Row
from models.state import state_folder
from models.train import TrainSettings, hard_targets, train

SETTINGS = TrainSettings(epochs=3, batch_size=8, lr=3e-3, max_tokens=32, device="cpu", patience=9)
Maker = Callable[[], GPT2Monitor]


def test_training_lowers_the_loss_and_leaves_a_checkpoint(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    report = train(new_model(), tokenizer, rows, rows[:12], SETTINGS, tmp_path)
    assert [epoch.number for epoch in report.epochs] == [1, 2, 3]
    assert report.epochs[-1].loss < report.epochs[0].loss
    assert report.figures.sentiment.n == 12
    model, _ = load_monitor(str(tmp_path))
    assert model.config.sentiment_temperature > 0
    assert model.config.abstain_below == 0.0, "twelve held-back rows are too few to choose a threshold by"
    assert load_file(tmp_path / "model.safetensors")["sentiment_head.weight"].dtype == torch.float16
    assert not state_folder(tmp_path).exists()


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"method": "lora"},
        {"method": "adalora", "rank": 2},
        {"method": "adapter", "rank": 4},
        {"accumulate": 3, "layer_decay": 0.5},
        {"method": "adalora", "accumulate": 2, "layer_decay": 0.8, "rdrop": 1.0, "fgm": 1.0, "class_weights": "none"},
    ],
    ids=str,
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path, asked: dict[str, Any]
) -> None:
    def killed(epoch: int, step: int, _steps: int, _loss: float) -> None:
        if (epoch, step) == (2, 3):
            raise KeyboardInterrupt

    settings = replace(SETTINGS, lr=1e-2, **asked)

    def run(name: str, **how: Any) -> dict[str, torch.Tensor]:
        train(new_model(), tokenizer, rows, rows[:12], settings, tmp_path / name, half=False, **how)
        return load_file(tmp_path / name / "model.safetensors")

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", watch=killed)
    cut = run("cut", resume=True)
    assert all(torch.equal(value, cut[name]) for name, value in whole.items())
    assert not torch.equal(whole["topic_head.weight"], new_model().topic_head.weight)


def test_the_state_of_another_run_is_refused(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    def killed(epoch: int, *_: object) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(new_model(), tokenizer, rows, rows[:12], SETTINGS, tmp_path, watch=killed)
    with pytest.raises(TrainingError, match="other rows or settings"):
        train(new_model(), tokenizer, rows, rows[:12], replace(SETTINGS, lr=1e-3), tmp_path, resume=True)
    with pytest.raises(TrainingError, match="nothing to resume"):
        train(new_model(), tokenizer, rows, rows[:12], SETTINGS, tmp_path / "fresh", resume=True)


def test_training_stops_when_nothing_gets_better(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    still = replace(SETTINGS, epochs=20, patience=2, lr=0.0)
    report = train(new_model(), tokenizer, rows[:16], rows[:12], still, tmp_path)
    assert report.best_epoch == 1
    assert len(report.epochs) == 3


def test_a_loss_that_is_not_finite_ends_the_run(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    model = new_model()
    model.sentiment_head.weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="lower --lr"):
        train(model, tokenizer, rows, rows[:12], SETTINGS, tmp_path)


def test_rows_without_labels_are_refused_before_the_first_step(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no labelled training rows"):
        train(new_model(), tokenizer, [Row("a")], rows[:1], SETTINGS, tmp_path)
    with pytest.raises(DataError, match="no labelled held-back rows"):
        train(new_model(), tokenizer, rows, [], SETTINGS, tmp_path)


@pytest.mark.parametrize("head", ["sentiment", "topic"])
def test_a_head_with_one_class_to_learn_is_refused_before_the_first_step(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path, head: str
) -> None:
    same = [replace(row, **{head: 2}) for row in rows]
    with pytest.raises(DataError, match=f"every labelled training row has the {head} '(positive|company_product)'"):
        train(new_model(), tokenizer, same, rows[:12], SETTINGS, tmp_path)
    without = [replace(row, **{head: MISSING}) for row in rows]
    train(new_model(), tokenizer, without, rows[:12], replace(SETTINGS, epochs=1), tmp_path)


def test_accumulated_passes_move_the_weights_as_one_pass_over_all_their_rows(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    still = {"token_dropout": 0.0, "epochs": 1, "weight_decay": 0.0, "class_weights": "none"}
    lengths: list[float] = []
    for name, asked in (("one", {"batch_size": 60}), ("many", {"batch_size": 7, "accumulate": 9})):
        model = new_model()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        train(
            model, tokenizer, rows, rows[:12], replace(SETTINGS, **still, **asked), tmp_path / name, half=False,
            record=lambda _step, figures: lengths.extend(v for n, v in figures.items() if n == "train/gradient"),
        )  # fmt: skip
    assert lengths == pytest.approx([lengths[0]] * 2, rel=0.02)
    one, many = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "many"))
    moved = {name: value for name, value in one.items() if not torch.equal(value, new_model().state_dict()[name])}
    assert len(moved) > 20
    for name, value in moved.items():
        assert torch.isclose(value, many[name], atol=3e-4).float().mean() > 0.95, name


def test_even_class_weights_count_every_row_the_same(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    uneven = [row for number, row in enumerate(rows) if row.sentiment != 2 or number % 9 == 0]
    losses = []
    for choice in ("balanced", "none"):
        settings = replace(SETTINGS, epochs=1, class_weights=choice, lr=0.0)
        losses.append(train(new_model(), tokenizer, uneven, rows[:12], settings, tmp_path / choice).epochs[0].loss)
    assert losses[0] != pytest.approx(losses[1], abs=1e-4)


def test_the_course_is_recorded_by_step_and_by_epoch(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    noted: list[tuple[int, set[str]]] = []
    settings = replace(SETTINGS, epochs=2, batch_size=10, accumulate=4)
    train(
        new_model(), tokenizer, rows, rows[:12], settings, tmp_path,
        record=lambda step, figures: noted.append((step, set(figures))),
    )  # fmt: skip
    assert [step for step, names in noted if "train/loss" in names] == [0, 1, 2, 3]
    assert [step for step, names in noted if "held_back/topic_macro_f1" in names] == [1, 3]


def test_a_folder_that_cannot_be_written_is_named(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(CheckpointError, match="cannot write"):
        train(new_model(), tokenizer, rows, rows[:12], replace(SETTINGS, epochs=1), tmp_path / "taken")


@pytest.mark.parametrize(
    "wrong",
    [{"method": "prefix"}, {"class_weights": "even"}, {"accumulate": 0}, {"rdrop": -1.0}, {"layer_decay": 0.0}],
    ids=str,
)
def test_settings_that_no_run_can_use_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        TrainSettings(**wrong)


def test_a_missing_label_adds_no_loss() -> None:
    loss = MultiTaskLoss(torch.ones(3), torch.ones(20), 0.0, 1.0, 1.0)
    output = MonitorOutput(torch.randn(2, 3), torch.randn(2, 20), torch.randn(2, 8))
    none = torch.tensor([MISSING, MISSING])
    assert loss(output, None, Targets(none, none)).item() == 0.0
    one = loss(output, None, Targets(torch.tensor([1, MISSING]), none))
    assert one.item() == pytest.approx(
        torch.nn.functional.cross_entropy(output.sentiment[:1], torch.tensor([1])).item()
    )


def test_agreeing_with_the_teacher_costs_nothing() -> None:
    loss = MultiTaskLoss(torch.ones(3), torch.ones(20), 0.0, 1.0, 1.0)
    output = MonitorOutput(torch.randn(2, 3), torch.randn(2, 20), torch.randn(2, 8))
    none = torch.tensor([MISSING, MISSING])
    agreed = Targets(none, none, output.sentiment.softmax(-1), output.topic.softmax(-1), output.pooled)
    assert loss(output, output.pooled, agreed).item() == pytest.approx(0.0, abs=1e-5)


def test_rare_classes_weigh_more_and_the_mean_weight_is_one() -> None:
    labels = torch.tensor([0] * 16 + [1] * 4 + [MISSING] * 5)
    weights = class_weights(labels, 2)
    assert weights[1] / weights[0] == pytest.approx(2.0)
    assert (weights[labels[labels != MISSING]]).mean().item() == pytest.approx(1.0)


def test_batches_hold_every_row_once_and_repeat_with_the_seed() -> None:
    ids = [[1] * (1 + number % 7) for number in range(50)]
    first, second = shuffled_batches(ids, 8, 0, 4), shuffled_batches(ids, 8, 0, 4)
    assert sorted(torch.cat([batch.rows for batch in first]).tolist()) == list(range(50))
    assert all(torch.equal(a.rows, b.rows) for a, b in zip(first, second, strict=True))


def test_token_dropout_keeps_the_pooled_token() -> None:
    assert drop_tokens([1, 2, 3, 9], 1.0, random.Random(1)) == [9]
    assert drop_tokens([1, 2, 3, 9], 0.0, random.Random(1)) == [1, 2, 3, 9]


def test_unlabelled_heads_are_marked_missing(rows: list[Row]) -> None:
    targets = hard_targets([Row("a", 2), Row("b", MISSING, 5)])
    assert targets.sentiment.tolist() == [2, MISSING]
    assert targets.topic.tolist() == [MISSING, 5]


def test_calibration_chooses_from_which_confidence_an_answer_is_certain(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    train(new_model(), tokenizer, rows, rows, replace(SETTINGS, epochs=1, lr=1e-4), tmp_path)
    model, _ = load_monitor(str(tmp_path))
    logits, _topic = predict_logits(model, tokenizer, [row.text for row in rows], SETTINGS.max_tokens)
    probabilities = softmax(logits / model.config.sentiment_temperature)
    labels = np.array([row.sentiment for row in rows])
    assert model.config.abstain_below == threshold_for(labels, probabilities) > 0.0
