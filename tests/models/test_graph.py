"""The network of inference, and every transformation of it, against the plain pass of transformers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import GPT2Config, PreTrainedTokenizerFast

from models.batches import encode, padded
from models.checkpoint import Checkpoint, NetworkConfig, read_checkpoint
from models.errors import CheckpointError, SettingsError
from models.graph import TRANSFORMATIONS, PooledBlock, in_precision, transformed
from models.model import GPT2Monitor, load_monitor, save_monitor
from models.network import Conv1D, MaskedAttention, Network, activation, attention_scale
from models.rows import Row
from models.texts import length_sorted_groups

Probabilities = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def batch(shipped: Checkpoint, rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts of many lengths in one padded batch."""
    _, tokenizer = load_monitor(shipped.name)
    texts = [row.text * (1 + at % 4) for at, row in enumerate(rows)]
    made = padded(encode(tokenizer, texts, 64), 0, range(len(rows)))
    return made.ids, made.lengths


@pytest.fixture(scope="module")
def plain(shipped: Checkpoint, batch: tuple[torch.Tensor, torch.Tensor]) -> Probabilities:
    """Probabilities of the transformers model, one text at a time, so without any padding."""
    model, _ = load_monitor(shipped.name)
    sentiment, topic = [], []
    with torch.inference_mode():
        for ids, length in zip(*batch, strict=True):
            output = model(ids[None, :length], length[None])
            sentiment.append((output.sentiment / model.config.sentiment_temperature).softmax(-1))
            topic.append((output.topic / model.config.topic_temperature).softmax(-1))
    return torch.cat(sentiment), torch.cat(topic)


def run(network: Network, batch: tuple[torch.Tensor, torch.Tensor]) -> Probabilities:
    with torch.inference_mode():
        sentiment, topic = network(*batch)
    return sentiment, topic


def assert_alike(found: Probabilities, expected: Probabilities, tolerance: float) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).abs().max() <= tolerance
        clear = theirs.topk(2).values.diff().abs().squeeze(-1) > 2 * tolerance
        assert clear.any()
        assert torch.equal(ours.argmax(-1)[clear], theirs.argmax(-1)[clear])


def test_the_network_as_written_agrees_with_transformers(
    shipped: Checkpoint, batch: tuple[torch.Tensor, torch.Tensor], plain: Probabilities
) -> None:
    assert_alike(run(Network(shipped), batch), plain, 1e-5)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_each_transformation_alone_leaves_the_answers(
    name: str, shipped: Checkpoint, batch: tuple[torch.Tensor, torch.Tensor], plain: Probabilities
) -> None:
    assert_alike(run(TRANSFORMATIONS[name].apply(Network(shipped)), batch), plain, 1e-5)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_each_transformation_can_be_left_out(
    name: str, shipped: Checkpoint, batch: tuple[torch.Tensor, torch.Tensor], plain: Probabilities
) -> None:
    assert_alike(run(transformed(Network(shipped), [name]), batch), plain, 1e-5)


def test_all_of_them_in_bfloat16_stay_close(
    shipped: Checkpoint, batch: tuple[torch.Tensor, torch.Tensor], plain: Probabilities
) -> None:
    assert_alike(run(in_precision(transformed(Network(shipped)), torch.bfloat16), batch), plain, 0.02)


def test_every_transformation_changes_what_it_names(shipped: Checkpoint) -> None:
    kinds = {type(module) for module in Network(shipped).modules()}
    after = transformed(Network(shipped))
    left = {type(module) for module in after.modules()}
    assert {Conv1D, MaskedAttention} <= kinds
    assert not {Conv1D, MaskedAttention} & left
    assert isinstance(after.blocks[-1], PooledBlock)
    assert isinstance(after.sentiment_head, nn.Linear)


def test_padding_is_never_seen(shipped: Checkpoint) -> None:
    network, lengths = transformed(Network(shipped)), torch.tensor([3])
    zeros, others = torch.tensor([[5, 6, 7, 0, 0]]), torch.tensor([[5, 6, 7, 9, 8]])
    assert torch.equal(run(network, (zeros, lengths))[0], run(network, (others, lengths))[0])


def test_an_unknown_transformation_is_refused(shipped: Checkpoint) -> None:
    with pytest.raises(SettingsError, match="no transformation 'magic': there are without_mask"):
        transformed(Network(shipped), ["magic"])


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu", "tanh"])
def test_activations_compute_what_transformers_computes(
    name: str, new_model: Callable[[], GPT2Monitor], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    config = new_model().config
    config.activation_function = name
    torch.manual_seed(4)
    model = GPT2Monitor(config).eval()
    for parameter in model.parameters():
        parameter.data *= 3
    save_monitor(model, tokenizer, tmp_path)
    batch = torch.randint(1, 99, (2, 9)), torch.tensor([9, 4])
    expected = model(*batch)
    found = run(transformed(Network(read_checkpoint(str(tmp_path)))), batch)
    assert torch.allclose(found[0], expected.sentiment.softmax(-1), atol=1e-5)
    assert torch.allclose(found[1], expected.topic.softmax(-1), atol=1e-5)


def test_an_activation_that_cannot_be_served_is_refused() -> None:
    with pytest.raises(CheckpointError, match="'laplace' cannot be served: use one of gelu"):
        activation("laplace")


def test_unnamed_settings_are_gpt2s_own() -> None:
    ours, theirs = NetworkConfig("newsquake_gpt2"), GPT2Config()
    for name in ("n_layer", "n_embd", "n_head", "n_positions", "activation_function", "layer_norm_epsilon"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert attention_scale(ours, 3) is None
    by_layer = NetworkConfig("newsquake_gpt2", scale_attn_by_inverse_layer_idx=True)
    assert attention_scale(by_layer, 3) == pytest.approx(64**-0.5 / 4)


def test_groups_cover_every_text_once_within_the_budget() -> None:
    lengths = [5, 200, 1, 30, 30, 7, 90]
    groups = length_sorted_groups(lengths, 100)
    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    assert all(len(group) == 1 or len(group) * max(lengths[p] for p in group) <= 100 for group in groups)
