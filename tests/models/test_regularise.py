"""R-Drop and adversarial steps: what they compute, and what they do to a classifier that is trained with them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from models.adapters import tune
from models.batches import encode, padded
from models.losses import MultiTaskLoss, Targets
from models.model import GPT2Monitor, MonitorOutput
from models.regularise import (
    adversarial_step,
    disagreement,
    moved_embeddings,
    no_step,
    step_radius,
    symmetric_divergence,
)
from models.rows import Row
from models.train import TrainSettings, hard_targets, train

SETTINGS = TrainSettings(epochs=6, batch_size=8, lr=3e-3, max_tokens=32, device="cpu", patience=9)
Maker = Callable[[], GPT2Monitor]


def test_the_divergence_is_the_mean_of_both_directions() -> None:
    torch.manual_seed(1)
    first, second = torch.randn(5, 4), torch.randn(5, 4)
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    one = F.kl_div(q, p, log_target=True, reduction="batchmean")
    other = F.kl_div(p, q, log_target=True, reduction="batchmean")
    assert symmetric_divergence(first, second).item() == pytest.approx(((one + other) / 2).item(), rel=1e-5)
    assert symmetric_divergence(first, first).item() == 0.0


def test_both_heads_disagree() -> None:
    same, sentiment, topic = torch.zeros(2, 3), torch.eye(2, 3), torch.eye(2, 20)
    whole = disagreement(MonitorOutput(same, topic, same), MonitorOutput(sentiment, topic, same))
    assert whole.item() == pytest.approx(symmetric_divergence(same, sentiment).item())


def passed(model: GPT2Monitor, batch: tuple[torch.Tensor, torch.Tensor], targets: Targets) -> torch.Tensor:
    """The loss of one pass."""
    loss = MultiTaskLoss(torch.ones(3), torch.ones(20), 0.0, 1.0, 1.0)
    value: torch.Tensor = loss(model(*batch), None, targets)
    return value


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_adversarial_step_raises_the_loss_more_than_any_random_one(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], method: str
) -> None:
    model = new_model()
    tune(model, replace(SETTINGS, method=method), 10)
    model.eval()
    tokens = model.transformer.wte
    batch = padded(encode(tokenizer, [row.text for row in rows[:8]], 32), 0, range(8))
    ids, targets = batch.ids, hard_targets(rows[:8])
    still = no_step(tokens, ids)
    with moved_embeddings(tokens, still):
        calm = passed(model, (ids, batch.lengths), targets)
    calm.backward()
    assert still.grad is not None
    radius = step_radius(tokens, 1.0)
    step = adversarial_step(still.grad, radius)
    assert step.flatten(1).norm(dim=1).tolist() == pytest.approx([radius] * 8, rel=1e-4)
    with torch.no_grad():
        assert passed(model, (ids, batch.lengths), targets).item() == pytest.approx(calm.item())
        with moved_embeddings(tokens, step):
            worst = passed(model, (ids, batch.lengths), targets).item()
        for seed in range(5):
            torch.manual_seed(seed)
            with moved_embeddings(tokens, adversarial_step(torch.randn_like(step), radius)):
                assert passed(model, (ids, batch.lengths), targets).item() < worst
    assert worst > calm.item()


def test_a_step_does_not_outlast_its_context_and_padding_is_not_moved(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row]
) -> None:
    model = new_model().eval()
    tokens = model.transformer.wte
    ids, lengths = torch.tensor([[5, 6, 7, 0]]), torch.tensor([3])
    still = no_step(tokens, ids)
    with moved_embeddings(tokens, still):
        passed(model, (ids, lengths), hard_targets(rows[:1])).backward()
    assert still.grad is not None
    assert not still.grad[0, 3].any()
    assert still.grad[0, :3].any()
    assert not tokens._forward_hooks


def test_a_text_without_a_gradient_is_not_moved() -> None:
    assert not adversarial_step(torch.zeros(1, 2, 3), 1.0).any()


def wavering(model: GPT2Monitor, tokenizer: PreTrainedTokenizerFast, rows: list[Row]) -> float:
    """How far two dropout passes over the rows are apart."""
    model.train()
    batch = padded(encode(tokenizer, [row.text for row in rows], 32), 0, range(len(rows)))
    torch.manual_seed(0)
    with torch.no_grad():
        pairs = [(model(batch.ids, batch.lengths), model(batch.ids, batch.lengths)) for _ in range(5)]
    return sum(disagreement(first, second).item() for first, second in pairs) / len(pairs)


def test_rdrop_makes_dropout_passes_agree(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    apart = {}
    for weight in (0.0, 10.0):
        model = new_model()
        train(model, tokenizer, rows, rows[:12], replace(SETTINGS, rdrop=weight, noise=False), tmp_path / str(weight))
        apart[weight] = wavering(model, tokenizer, rows)
    assert apart[10.0] < 0.7 * apart[0.0]


def robustness(model: GPT2Monitor, tokenizer: PreTrainedTokenizerFast, rows: list[Row]) -> float:
    """How much the worst small step raises the loss."""
    model.eval()
    tokens = model.transformer.wte
    batch = padded(encode(tokenizer, [row.text for row in rows], 32), 0, range(len(rows)))
    still = no_step(tokens, batch.ids)
    with moved_embeddings(tokens, still):
        calm = passed(model, (batch.ids, batch.lengths), hard_targets(rows))
    calm.backward()
    assert still.grad is not None
    with torch.no_grad(), moved_embeddings(tokens, adversarial_step(still.grad, step_radius(tokens, 2.0))):
        return passed(model, (batch.ids, batch.lengths), hard_targets(rows)).item() - calm.item()


def test_adversarial_training_makes_the_worst_step_harmless(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    harm = {}
    for epsilon in (0.0, 2.0):
        model = new_model()
        train(
            model,
            tokenizer,
            rows,
            rows[:12],
            replace(SETTINGS, fgm=epsilon, epochs=8, noise=False),
            tmp_path / str(epsilon),
        )
        harm[epsilon] = robustness(model, tokenizer, rows)
    assert harm[2.0] < 0.7 * harm[0.0]


def test_both_work_together_with_accumulation_adapters_and_soft_targets(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row], tmp_path: Path
) -> None:
    hard = hard_targets(rows)
    soft = Targets(
        hard.sentiment, hard.topic, F.one_hot(hard.sentiment, 3) * 0.7 + 0.1, F.one_hot(hard.topic, 20) * 0.8 + 0.01,
        torch.randn(len(rows), 6),
    )  # fmt: skip
    settings = replace(SETTINGS, rdrop=1.0, fgm=0.5, accumulate=2, method="lora", layer_decay=0.9)
    report = train(new_model(), tokenizer, rows, rows[:12], settings, tmp_path, targets=soft)
    assert report.epochs[-1].loss < report.epochs[0].loss
