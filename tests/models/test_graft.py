"""The student that grows out of a teacher: its tokenizer, and a GPT-2 that computes what those layers compute."""

import pytest
import torch
from tokenizers import Tokenizer, models
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from models.errors import DataError
from models.graft import graft
from models.teacher import Teacher
from models.vocabulary import pruned_tokenizer

PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    "▁bank",
    "▁runs",
    "bank",
    "银行",
    "挤兑",
    "储户",
    "🚀",
    "1",
    "2",
    ".",
    "▁zzz",
]
TEXTS = ["bank runs", "bank runs 12.1", "储户 挤兑 银行", "银行 挤兑"]


@pytest.fixture
def teacher() -> Teacher:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=192,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    bert = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():  # a trained network's gains and biases are not ones and zeros
        for name, parameter in bert.named_parameters():
            if "LayerNorm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            elif name.endswith("dense.bias") or "weight" in name:
                parameter.add_(torch.randn_like(parameter) * 0.03)
    tokenizer = Tokenizer(models.Unigram([(piece, -float(at)) for at, piece in enumerate(PIECES)], 3, False))
    return Teacher(bert, tokenizer, 96)


def causal_states(teacher: Teacher, ids: Tensor, layers: tuple[int, ...]) -> Tensor:
    """Run some of the teacher's layers by transformers itself, each token seeing only those before it."""
    tokens = ids.shape[1]
    hidden = torch.zeros(1, 1, tokens, tokens).masked_fill(
        ~torch.tril(torch.ones(tokens, tokens, dtype=torch.bool)), -1e9
    )
    states = teacher.encoder.embeddings(input_ids=ids)
    for layer in layers:
        states = teacher.encoder.encoder.layer[layer](states, attention_mask=hidden)
        states = states[0] if isinstance(states, tuple) else states
    return states


@pytest.mark.parametrize("layers", [(0, 1, 2, 3), (0, 2)])
def test_a_grafted_gpt2_computes_what_the_teachers_layers_compute(teacher: Teacher, layers: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    probe = torch.randint(0, len(PIECES), (64, 20), generator=generator)
    model = graft(teacher, range(len(PIECES)), layers, 32, probe.tolist()).eval()
    unseen = torch.randint(0, len(PIECES), (32, 20), generator=generator)
    with torch.inference_mode():
        wanted = causal_states(teacher, unseen, layers)
        found = model.transformer(input_ids=unseen, use_cache=False).last_hidden_state
    centred = [states - states.mean((0, 1)) for states in (found, wanted)]
    assert F.cosine_similarity(*centred, dim=-1).mean() > 0.97


def test_a_layer_that_the_teacher_lacks_is_refused(teacher: Teacher) -> None:
    with pytest.raises(DataError, match="4 layers and 64 positions"):
        graft(teacher, range(4), (0, 4), 32, [[0, 2]])
    with pytest.raises(DataError, match="with 65 positions"):
        graft(teacher, range(4), (0,), 65, [[0, 2]])


def test_the_pieces_that_texts_use_are_kept_before_others(teacher: Teacher) -> None:
    tokenizer, kept = pruned_tokenizer(teacher.tokenizer, TEXTS, 14)
    names = [PIECES[piece] for piece in kept]
    assert names[:4] == PIECES[:4]
    assert {"▁bank", "▁runs", "银行", "挤兑", "🚀"} <= set(names)
    assert "▁zzz" not in names
    assert tokenizer.convert_ids_to_tokens(tokenizer("Bank RUNS")["input_ids"]) == ["<s>", "▁bank", "▁runs", "</s>"]


def test_a_number_is_read_digit_by_digit_without_a_space(teacher: Teacher) -> None:
    tokenizer, _ = pruned_tokenizer(teacher.tokenizer, TEXTS, len(PIECES))
    assert tokenizer.convert_ids_to_tokens(tokenizer("bank 12.1")["input_ids"])[1:-1] == ["▁bank", "1", "2", ".", "1"]


@pytest.mark.parametrize("before", [" ", "\n\t", "\u200b", "https://example.com/a "])
@pytest.mark.parametrize("text", ["bank runs", "银行 挤兑", "12.1 bank"])
def test_what_stands_before_a_text_leaves_its_tokens_alone(teacher: Teacher, before: str, text: str) -> None:
    tokenizer, _ = pruned_tokenizer(teacher.tokenizer, TEXTS, len(PIECES))
    assert tokenizer(before + text)["input_ids"] == tokenizer(text)["input_ids"]
    assert tokenizer(text.replace(" ", "  "))["input_ids"] == tokenizer(text)["input_ids"]
