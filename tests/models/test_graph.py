"""Every rewriting of the forward pass against the plain one."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast
from transformers.pytorch_utils import Conv1D

from models.batches import encode, padded
from models.graph import LeanMonitor, conv1d_to_linear, scaled_head
from models.model import GPT2Monitor, load_monitor
from models.rows import Row
from models.settings import ModelsSettings
from models.texts import length_sorted_groups


@pytest.fixture(scope="module")
def shipped() -> tuple[GPT2Monitor, PreTrainedTokenizerFast]:
    """The shipped classifier in float32."""
    return load_monitor(ModelsSettings().checkpoint)


def plain(model: GPT2Monitor, tokenizer: PreTrainedTokenizerFast, rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of the transformers model, one text at a time, so without any padding."""
    sentiment, topic = [], []
    with torch.inference_mode():
        for ids in encode(tokenizer, [row.text for row in rows], 64):
            output = model.eval()(torch.tensor([ids]), torch.tensor([len(ids)]))
            sentiment.append((output.sentiment / model.config.sentiment_temperature).softmax(-1))
            topic.append((output.topic / model.config.topic_temperature).softmax(-1))
    return torch.cat(sentiment), torch.cat(topic)


@pytest.mark.parametrize("pool_last_block", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.02)])
def test_the_lean_pass_agrees_with_the_plain_one(
    shipped: tuple[GPT2Monitor, PreTrainedTokenizerFast],
    rows: list[Row],
    dtype: torch.dtype,
    tolerance: float,
    pool_last_block: bool,
) -> None:
    model, tokenizer = shipped
    batch = padded(encode(tokenizer, [row.text for row in rows], 64), 0, range(len(rows)))
    lean = LeanMonitor(load_monitor(ModelsSettings().checkpoint)[0], dtype, pool_last_block=pool_last_block)
    with torch.inference_mode():
        found = lean(batch.ids, batch.lengths)
    for ours, theirs in zip(found, plain(model, tokenizer, rows), strict=True):
        assert (ours - theirs).abs().max() <= tolerance
        clear = theirs.topk(2).values.diff().abs().squeeze(-1) > 2 * tolerance
        assert torch.equal(ours.argmax(-1)[clear], theirs.argmax(-1)[clear])


def test_padding_is_never_seen(new_model: Callable[[], GPT2Monitor]) -> None:
    lean = LeanMonitor(new_model(), torch.float32)
    lengths = torch.tensor([3])
    zeros, others = torch.tensor([[5, 6, 7, 0, 0]]), torch.tensor([[5, 6, 7, 9, 8]])
    assert torch.equal(lean(zeros, lengths)[0], lean(others, lengths)[0])


def test_a_linear_computes_what_conv1d_computes() -> None:
    conv, states = Conv1D(12, 8), torch.randn(3, 8)
    conv.bias.data.normal_()
    assert torch.allclose(conv1d_to_linear(conv)(states), conv(states), atol=1e-6)


def test_the_temperature_moves_into_the_head() -> None:
    head, states = nn.Linear(4, 3), torch.randn(5, 4)
    assert torch.allclose(scaled_head(head, 1.7)(states), head(states) / 1.7, atol=1e-6)


def test_groups_cover_every_text_once_within_the_budget() -> None:
    lengths = [5, 200, 1, 30, 30, 7, 90]
    groups = length_sorted_groups(lengths, 100)
    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    assert all(len(group) == 1 or len(group) * max(lengths[p] for p in group) <= 100 for group in groups)
