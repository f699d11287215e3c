"""The GPT-2s that training can start from."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel, GPT2Model, PreTrainedTokenizerFast

from models.base import base_topics, load_base
from models.batches import encode
from models.checkpoint import read_checkpoint
from models.engine import Engine
from models.errors import CheckpointError
from models.graph import transformed
from models.labels import TOPICS
from models.model import GPT2Monitor, load_monitor, pad_token_id, save_monitor
from models.network import Network
from models.rows import Row
from models.settings import ModelsSettings
from models.train import TrainSettings, train
from tests.models.published import causal_model, chinese_gpt2, english_gpt2

TEXT = "海川股份净利 Orvion"


@pytest.fixture
def texts(rows: list[Row]) -> list[str]:
    """The texts of the shared rows."""
    return [row.text for row in rows]


def pooled(model: GPT2Monitor, ids: list[int]) -> torch.Tensor:
    """The state that the heads see, without dropout."""
    with torch.inference_mode():
        return model.eval()(torch.tensor([ids]), torch.tensor([len(ids)])).pooled


@pytest.mark.parametrize("publish", [english_gpt2, chinese_gpt2])
def test_a_published_gpt2_keeps_its_weights_and_its_tokenizer(
    publish: Callable[..., Path], texts: list[str], tmp_path: Path
) -> None:
    folder = publish(tmp_path / "base", texts)
    model, tokenizer = load_base(str(folder))
    causal = GPT2Model.from_pretrained(folder).eval()
    ids = encode(tokenizer, [TEXT], 40)[0]
    with torch.inference_mode():
        expected = causal(torch.tensor([ids])).last_hidden_state[:, -1]
    assert torch.allclose(pooled(model, ids), expected, atol=1e-6)
    assert base_topics(str(folder)) == TOPICS


def test_a_vocab_txt_alone_is_read_as_bert_reads_it(texts: list[str], tmp_path: Path) -> None:
    named = load_base(str(chinese_gpt2(tmp_path / "named", texts)))[1]
    alone = load_base(str(chinese_gpt2(tmp_path / "alone", texts, tokenizer_named=False)))[1]
    assert encode(alone, [TEXT], 40) == encode(named, [TEXT], 40)
    assert alone.convert_ids_to_tokens(encode(alone, ["净利"], 40)[0]) == ["[CLS]", "净", "利", "[SEP]"]


def test_a_missing_padding_token_is_made_up_for(texts: list[str], tmp_path: Path) -> None:
    _, tokenizer = load_base(str(english_gpt2(tmp_path / "base", texts)))
    assert tokenizer.pad_token_id is None
    assert pad_token_id(tokenizer) == tokenizer.eos_token_id
    assert encode(tokenizer, [""], 40) == [[tokenizer.eos_token_id]]


def test_texts_longer_than_the_positions_are_cut_in_training_and_in_service(
    rows: list[Row], texts: list[str], tmp_path: Path
) -> None:
    model, tokenizer = load_base(str(chinese_gpt2(tmp_path / "base", texts)))
    longer = [*rows, Row("海" * 300, 1, 9, "zh")]
    train(model, tokenizer, longer, rows[:12], TrainSettings(epochs=1, batch_size=16, device="cpu"), tmp_path / "out")
    scores = Engine.load(ModelsSettings(checkpoint=str(tmp_path / "out"))).score(
        ["海川股份净利大幅下滑", "", "海" * 5000]
    )
    assert [score.negative + score.neutral + score.positive for score in scores] == pytest.approx([1.0] * 3, abs=1e-5)


def test_tokens_added_after_pretraining_get_the_mean_row(texts: list[str], tmp_path: Path) -> None:
    folder = english_gpt2(tmp_path / "base", texts)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    before = GPT2LMHeadModel.from_pretrained(folder).transformer.wte.weight
    tokenizer.add_special_tokens({"pad_token": "[PAD]", "sep_token": "[SEP]"})
    tokenizer.save_pretrained(folder)
    model, again = load_base(str(folder))
    assert model.config.vocab_size == len(again) == len(before) + 2
    assert torch.allclose(model.transformer.wte.weight[-1], before.mean(0), atol=1e-6)
    assert torch.equal(model.transformer.wte.weight[:-2], before)
    save_monitor(model, again, tmp_path / "saved")
    assert load_monitor(str(tmp_path / "saved"))[0].config.vocab_size == len(again)


def test_the_tokenizer_of_another_model_is_refused(texts: list[str], tmp_path: Path) -> None:
    folder = english_gpt2(tmp_path / "base", texts)
    causal_model(100).save_pretrained(folder)
    with pytest.raises(
        CheckpointError, match=r"ids up to \d+ and its embedding 100 rows: they do not belong"
    ) as caught:
        load_base(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", [{"scale_attn_by_inverse_layer_idx": True}, {"scale_attn_weights": False}])
def test_attention_scales_of_its_own_move_into_the_weights(
    setting: dict[str, bool], texts: list[str], tmp_path: Path
) -> None:
    folder = english_gpt2(tmp_path / "base", texts, initializer_range=0.3, **setting)
    model, tokenizer = load_base(str(folder))
    ids = encode(tokenizer, [TEXT], 40)[0]
    with torch.inference_mode():
        causal = GPT2Model.from_pretrained(folder).eval()(torch.tensor([ids])).last_hidden_state[:, -1]
        expected = model.topic_head(causal).softmax(-1)
        save_monitor(model, tokenizer, tmp_path / "served")
        served = transformed(Network(read_checkpoint(str(tmp_path / "served"))))
        found = served(torch.tensor([ids]), torch.tensor([len(ids)]))[1]
    assert torch.allclose(pooled(model, ids), causal, atol=1e-4)
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no checkpoint"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'),
            "is a 'bert' model: name a GPT-2",
        ),
        (lambda folder: (folder / "pytorch_model.bin").unlink(), "no usable model"),
        (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"not weights"), "no usable model"),
        (lambda folder: (folder / "vocab.txt").unlink(), "no usable tokenizer"),
        (lambda folder: torch.save({}, folder / "pytorch_model.bin"), "lacks 28 of its weights"),
    ],
)
def test_a_base_that_is_not_whole_is_one_line(
    spoil: Callable[[Path], object], complaint: str, texts: list[str], tmp_path: Path
) -> None:
    folder = chinese_gpt2(tmp_path / "base", texts)
    spoil(folder)
    with pytest.raises(CheckpointError, match=complaint) as caught:
        load_base(str(folder))
    assert "\n" not in str(caught.value)


def test_a_trained_classifier_is_a_base_with_its_own_topics(
    new_model: Callable[[], GPT2Monitor], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    save_monitor(new_model(), tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"topics": ["t" + name for name in TOPICS]}))
    assert base_topics(str(tmp_path))[0] == "tanalyst_update"
    assert load_base(str(tmp_path))[0].config.topics[0] == "tanalyst_update"
