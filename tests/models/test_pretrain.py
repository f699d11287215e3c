"""Continued pretraining: packing, perplexity, and what it leaves to fine-tuning."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from models.base import load_base
from models.errors import DataError, TrainingError
from models.model import GPT2Monitor
from models.pretrain import packed, perplexity, pretrain
from models.rows import Row, read_texts
from models.train import TrainSettings
from tests.models.published import english_gpt2

SETTINGS = TrainSettings(epochs=3, batch_size=4, lr=3e-3, max_tokens=32, device="cpu")
Maker = Callable[[], GPT2Monitor]


def ignore(*_: object) -> None:
    """Neither watch nor record."""


def texts_of(rows: list[Row]) -> list[str]:
    """Some hundreds of distinct texts, all alike."""
    return [f"{row.text} and {number}" for number in range(6) for row in rows]


def test_texts_are_packed_end_to_end_and_closed_once(tokenizer: PreTrainedTokenizerFast) -> None:
    stream = packed(tokenizer, ["Orvion profit", "海川股份", ""])
    end = tokenizer.eos_token_id
    assert stream.tolist() == [*tokenizer("Orvion profit")["input_ids"], *tokenizer("海川股份")["input_ids"], end]
    assert stream.tolist().count(end) == 3


def test_a_tokenizer_that_closes_nothing_gets_its_end_added(rows: list[Row], tmp_path: Path) -> None:
    _, tokenizer = load_base(str(english_gpt2(tmp_path, [row.text for row in rows])))
    stream = packed(tokenizer, ["Orvion", "profit"])
    assert stream.tolist().count(tokenizer.eos_token_id) == 2
    assert stream[-1] == tokenizer.eos_token_id


def test_perplexity_is_that_of_the_published_language_model(rows: list[Row], tmp_path: Path) -> None:
    folder = english_gpt2(tmp_path, [row.text for row in rows])
    model, tokenizer = load_base(str(folder))
    causal = GPT2LMHeadModel.from_pretrained(folder).eval()
    stream = packed(tokenizer, [row.text for row in rows[:5]])
    with torch.inference_mode():
        losses = [
            F.cross_entropy(causal(ids[None]).logits[0, :-1], ids[1:], reduction="none")
            for ids in stream.split(16)
            if len(ids) > 1
        ]
    assert perplexity(model, stream, 16, 4) == pytest.approx(math.exp(torch.cat(losses).mean().item()), rel=0.02)


def test_reading_the_field_lowers_perplexity_and_keeps_the_heads(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row]
) -> None:
    model, seen = new_model(), []
    report = pretrain(model, tokenizer, texts_of(rows), SETTINGS, lambda *stage: seen.append(stage), ignore)
    assert report.perplexity_after < 0.5 * report.perplexity_before
    assert report.held_back_tokens > 0
    assert report.tokens > 10 * report.held_back_tokens
    assert ("pretraining", seen[-2][2], seen[-2][2]) in seen
    untouched = new_model()
    assert torch.equal(model.topic_head.weight, untouched.topic_head.weight)
    assert not torch.equal(model.transformer.wte.weight, untouched.transformer.wte.weight)
    assert set(model.state_dict()) == set(untouched.state_dict())


def test_the_same_seed_reads_the_same_way(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row]
) -> None:
    once, again = new_model(), new_model()
    for model in (once, again):
        pretrain(model, tokenizer, texts_of(rows)[:60], replace(SETTINGS, epochs=1), ignore, ignore)
        torch.manual_seed(99)
    assert torch.equal(once.transformer.wte.weight, again.transformer.wte.weight)


def test_two_texts_are_enough_and_one_is_not(new_model: Maker, tokenizer: PreTrainedTokenizerFast) -> None:
    pretrain(new_model(), tokenizer, ["Orvion profit doubles", "海川股份净利"], SETTINGS, ignore, ignore)
    with pytest.raises(DataError, match="too little text"):
        pretrain(new_model(), tokenizer, ["Orvion profit doubles"], SETTINGS, ignore, ignore)


def test_a_loss_that_is_not_finite_ends_it(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, rows: list[Row]
) -> None:
    model = new_model()
    model.transformer.ln_f.weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="lower --pretraining-lr"):
        pretrain(model, tokenizer, texts_of(rows), SETTINGS, ignore, ignore)


def test_texts_come_one_a_line_or_as_jsonl(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    assert read_texts(jsonl("one\n\n  two \n", "plain.txt")) == ["one", "two"]
    assert read_texts(jsonl('{"text": "one"}\n{"text": "two", "topic": "any"}\n')) == ["one", "two"]
    with pytest.raises(DataError, match=r"rows\.jsonl:2: `text` is missing"):
        read_texts(jsonl('{"text": "one"}\n{"body": "two"}\n'))
    with pytest.raises(DataError, match="no rows in it: one text a line"):
        read_texts(jsonl("\n", "empty.txt"))
    (tmp_path / "gbk.txt").write_bytes("净利".encode("gbk"))
    with pytest.raises(DataError, match=r"gbk\.txt: not UTF-8 \(line 1, byte 1\)"):
        read_texts(tmp_path / "gbk.txt")
