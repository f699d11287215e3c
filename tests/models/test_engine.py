"""The resident engine with the shipped checkpoint."""

import json
import math
from pathlib import Path

import pytest

from models.checkpoint import read_checkpoint
from models.engine import Engine
from models.errors import CheckpointError, SettingsError
from models.labels import SENTIMENTS, TOPICS
from models.model import load_monitor, save_monitor
from models.settings import ModelsSettings

AWKWARD = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "😀🚀",
    "\ud800",
    "x" * 20_000,
    "中" * 20_000,
    "\u200b\u200f",
    "https://example.com/a",
)


def test_scores_come_in_the_order_of_the_texts(shipped_engine: Engine) -> None:
    texts = ["Shares plunge after profit warning " * 8, "短", "Dividend raised", "央行维持利率不变"]
    together = shipped_engine.score(texts)
    assert [score.topic for score in together] == [Engine.score(shipped_engine, [text])[0].topic for text in texts]
    assert shipped_engine.score(texts[::-1]) == together[::-1]


def test_a_score_is_certain_from_the_checkpoints_threshold_on(shipped_engine: Engine, tmp_path: Path) -> None:
    texts = [
        "Profit falls",
        "Shares soar to a record high after earnings beat expectations",
        "The meeting is on Friday",
    ]
    confidences = sorted(score.confidence for score in shipped_engine.score(texts))
    model, tokenizer = load_monitor(ModelsSettings().checkpoint)
    model.config.abstain_below = (confidences[0] + confidences[1]) / 2
    save_monitor(model, tokenizer, tmp_path / "careful")
    careful = Engine.load(ModelsSettings(checkpoint=str(tmp_path / "careful"))).score(texts)
    assert sorted(score.certain for score in careful) == [False, True, True]
    assert min(careful, key=lambda score: score.confidence).certain is False


def test_an_empty_batch_gives_no_scores(shipped_engine: Engine) -> None:
    assert shipped_engine.score([]) == []


@pytest.mark.parametrize("text", AWKWARD, ids=lambda text: ascii(text[:6]))
def test_any_text_gets_a_whole_distribution(shipped_engine: Engine, text: str) -> None:
    (score,) = shipped_engine.score([text])
    assert score.topic in TOPICS
    assert score.sentiment in SENTIMENTS
    assert math.isclose(score.negative + score.neutral + score.positive, 1.0, abs_tol=1e-5)
    assert score.confidence == max(score.negative, score.neutral, score.positive)
    assert -1.0 <= score.score <= 1.0


def test_a_text_in_company_scores_as_it_does_alone() -> None:
    engine = Engine.load(ModelsSettings(dtype="float32", cache_size=0))
    texts = ["Profit falls", "Profit rises sharply on strong demand for copper and zinc " * 6, "存款无法取出"]
    for text, score in zip(texts, engine.score(texts), strict=True):
        assert engine.score([text])[0].score == pytest.approx(score.score, abs=1e-4)


def test_the_same_text_is_scored_once(shipped_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    forward = shipped_engine._forward
    monkeypatch.setattr(shipped_engine, "_forward", lambda texts: seen.extend(texts) or forward(texts))
    text = "Castlebrook recalls a product that nobody bought"
    first, second, other = shipped_engine.score([text, text, "Castlebrook hires a chairman"])
    assert first == second != other
    assert shipped_engine.score([text]) == [first]
    assert seen.count(text) == 1


def test_the_cache_forgets_the_oldest_text() -> None:
    engine = Engine.load(ModelsSettings(cache_size=2))
    engine.score(["one", "two", "three"])
    assert len(engine._seen) == 2


def test_the_model_id_names_folder_and_weights(shipped_engine: Engine) -> None:
    name, digits = shipped_engine.model_id.rsplit("-", 1)
    assert name == "default"
    assert len(digits) == 8
    assert int(digits, 16) >= 0
    assert Engine.load(ModelsSettings()).model_id == shipped_engine.model_id


def test_whatever_decides_the_scores_is_in_the_model_id(tmp_path: Path) -> None:
    shipped, folder = Path(ModelsSettings().checkpoint), tmp_path / "default"
    folder.mkdir()
    for path in shipped.glob("*.safetensors"):
        (folder / path.name).symlink_to(path.resolve())
    config, tokenizer = (shipped / "config.json").read_text("utf-8"), (shipped / "tokenizer.json").read_text("utf-8")

    def model_id(config: str = config, tokenizer: str = tokenizer) -> str:
        (folder / "config.json").write_text(config, "utf-8")
        (folder / "tokenizer.json").write_text(tokenizer, "utf-8")
        return read_checkpoint(str(folder)).model_id

    own = model_id()
    assert own == read_checkpoint(str(shipped)).model_id
    changed = json.loads(config)
    assert model_id(json.dumps(changed | {"abstain_below": 0.9})) == own
    others = [model_id(json.dumps(changed | {"activation_function": "relu"})), model_id(tokenizer=tokenizer + "\n")]
    others.append(model_id(json.dumps(changed | {"sentiment_temperature": 3.0})))
    assert len({own, *others}) == 4


def test_warm_up_leaves_nothing_in_the_cache() -> None:
    engine = Engine.load(ModelsSettings())
    engine.warm_up()
    assert not engine._seen


def test_a_missing_checkpoint_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint .* name a folder") as caught:
        Engine.load(ModelsSettings(checkpoint=str(tmp_path / "nowhere")))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_weights_is_refused(tmp_path: Path) -> None:
    shipped = Path(ModelsSettings().checkpoint)
    (tmp_path / "config.json").write_text((shipped / "config.json").read_text())
    with pytest.raises(CheckpointError, match=r"no usable model\.safetensors") as caught:
        Engine.load(ModelsSettings(checkpoint=str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="is not here"):
        Engine.load(ModelsSettings(device="cuda:99"))


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("Profit slumps and the company cuts its full-year outlook", "negative"),
        ("Shares soar to a record high after earnings beat expectations", "positive"),
        ("公司业绩大幅下滑，股价跌停", "negative"),
        ("公司净利润大幅增长，股价涨停创新高", "positive"),
    ],
)
def test_bad_news_and_good_news_are_told_apart(shipped_engine: Engine, text: str, sentiment: str) -> None:
    assert shipped_engine.score([text])[0].sentiment == sentiment


@pytest.mark.parametrize(
    "text",
    [
        "Depositors line up outside the bank as withdrawals are limited",
        "Customers rush to pull deposits from the lender amid liquidity fears",
        "多家网点排起长队，储户无法取出存款",
        "这家银行流动性紧张，传闻遭到挤兑",
    ],
)
def test_a_bank_run_is_negative_financials(shipped_engine: Engine, text: str) -> None:
    (score,) = shipped_engine.score([text])
    assert (score.topic, score.sentiment) == ("financials", "negative")
