"""Trained checkpoints: written, loaded, and refused where they cannot be served."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from models.base import adopt_topics
from models.batches import encode
from models.engine import Engine
from models.errors import CheckpointError
from models.labels import TOPICS
from models.model import GPT2Monitor, MonitorConfig, load_monitor, save_monitor
from models.settings import ModelsSettings

Maker = Callable[[], GPT2Monitor]


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


def saved_with(config_change: dict[str, object], model: GPT2Monitor, tokenizer: object, folder: Path) -> str:
    """A checkpoint whose config.json says something else; returns its folder."""
    save_monitor(model, tokenizer, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | config_change))
    return str(folder)


def test_the_topics_are_the_checkpoints_own(
    new_model: Maker, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = new_model()
    adopt_topics(model, ("Rates", "信用风险"))
    save_monitor(model, tokenizer, tmp_path)
    engine = Engine.load(ModelsSettings(checkpoint=str(tmp_path)))
    assert engine.topics == ("Rates", "信用风险")
    assert {score.topic for score in engine.score(["央行加息", "bond default", "x"])} <= set(engine.topics)
    assert engine.probabilities(["央行加息"])[1].shape == (1, 2)


def test_a_topic_that_stays_keeps_what_was_learnt_of_it(new_model: Maker) -> None:
    model = new_model()
    before = model.topic_head.weight[TOPICS.index("ipo")].clone()
    adopt_topics(model, ("Crypto", "IPO"))
    assert torch.equal(model.topic_head.weight[1], before)
    assert model.topic_head.out_features == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sentiments": ["positive", "neutral", "negative"]}, "other sentiments"),
        ({"topics": ["a\nb", *TOPICS[1:]]}, "control characters"),
        ({"topics": ["x" * 81, *TOPICS[1:]]}, "81 characters"),
        ({"topics": ["IPO", *TOPICS[1:]]}, "names a topic twice"),
        ({"n_layer": 5}, "lacks 24 of its weights"),
    ],
)
def test_a_checkpoint_that_cannot_be_served_is_refused(
    new_model: Maker,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    change: dict[str, object],
    complaint: str,
) -> None:
    with pytest.raises(CheckpointError, match=complaint) as caught:
        load_monitor(saved_with(change, new_model(), tokenizer, tmp_path))
    assert "\n" not in str(caught.value)


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    save_monitor(GPT2Monitor(MonitorConfig(vocab_size=50, n_layer=1, n_embd=8, n_head=2)), tokenizer, tmp_path)
    with pytest.raises(CheckpointError, match="do not belong together"):
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
