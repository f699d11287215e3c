"""Checkpoints and the GPT-2s that training can start from."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from models.batches import encode
from models.engine import Engine
from models.errors import CheckpointError
from models.model import GPT2Monitor, load_base, load_monitor, save_monitor
from models.rows import Row
from models.settings import ModelsSettings
from models.train import TrainSettings, train

Maker = Callable[[], GPT2Monitor]


def bert_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A tokenizer as Chinese GPT-2s bring it: one piece a character, [CLS] in front and [SEP] behind."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({c for text in texts for c in text if not c.isspace()})]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=False)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture
def causal_folder(tmp_path: Path, rows: list[Row]) -> Path:
    """A causal language model as the hub would give it, with a BERT tokenizer."""
    tokenizer = bert_tokenizer([row.text for row in rows])
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=len(tokenizer), n_layer=2, n_embd=32, n_head=2, n_positions=48)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "causal")
    tokenizer.save_pretrained(tmp_path / "causal")
    return tmp_path / "causal"


def test_a_checkpoint_survives_saving_and_loading(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = new_model().eval()
    save_monitor(model, tokenizer, tmp_path, half=True)
    loaded, again = load_monitor(str(tmp_path))
    ids = torch.tensor(encode(again, ["海川股份 net profit"], 32))
    lengths = torch.tensor([ids.shape[1]])
    assert loaded.dtype == torch.float32
    assert torch.allclose(loaded(ids, lengths).topic, model(ids, lengths).topic, atol=2e-3)
    assert encode(again, ["ＡＢＣ 净利"], 32) == encode(tokenizer, ["abc 净利"], 32)
    assert not list(tmp_path.glob("*.bin")) + list(tmp_path.glob("*.pt"))


def test_a_causal_model_with_a_bert_tokenizer_becomes_a_classifier(
    causal_folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    model, tokenizer = load_base(str(causal_folder))
    out = tmp_path / "out"
    longer = [*rows, Row("长" * 300, 1, 9, "zh")]
    train(model, tokenizer, longer, rows[:12], TrainSettings(epochs=1, batch_size=16, device="cpu"), out)
    scores = Engine.load(ModelsSettings(checkpoint=str(out))).score(["海川股份净利大幅下滑", "", "x" * 5000])
    assert len(scores) == 3
    assert scores[0].negative + scores[0].neutral + scores[0].positive == pytest.approx(1.0, abs=1e-5)


def test_a_trunk_keeps_its_pretrained_weights(causal_folder: Path) -> None:
    model, _ = load_base(str(causal_folder))
    causal = GPT2LMHeadModel.from_pretrained(causal_folder)
    assert torch.equal(model.transformer.wte.weight, causal.transformer.wte.weight)
    assert torch.equal(model.transformer.h[1].mlp.c_fc.weight, causal.transformer.h[1].mlp.c_fc.weight)


def test_an_untrained_gpt2_is_no_classifier(causal_folder: Path) -> None:
    with pytest.raises(CheckpointError, match="fine-tune it first"):
        load_monitor(str(causal_folder))


def test_a_checkpoint_of_other_classes_is_refused(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    save_monitor(new_model(), tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["topics"] = config["topics"][::-1]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="other classes"):
        load_monitor(str(tmp_path))


def test_damaged_weights_are_one_line(new_model: Maker, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_monitor(new_model(), tokenizer, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match="no usable model") as caught:
        load_monitor(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_shipped_checkpoint_is_small_and_needs_no_pickle() -> None:
    files = [file for file in Path(ModelsSettings().checkpoint).iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 40_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".md"}
