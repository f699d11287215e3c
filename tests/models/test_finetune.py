"""`newsquake model train` with people's own GPT-2s, methods and topics, through the command line to the engine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from models.assess import predict_logits
from models.cli import model
from models.engine import Engine
from models.finetune import FineTuning, fine_tune
from models.hyperparameters import METHODS, TrainSettings
from models.labels import SENTIMENTS, TOPICS
from models.model import GPT2Monitor, load_monitor, save_monitor
from models.quality import softmax
from models.rows import Row
from models.settings import ModelsSettings
from tests.models.published import chinese_gpt2, english_gpt2

FEW = ("--epochs", "2", "--batch-size", "8", "--held-back", "30", "--device", "cpu", "--json")
OWN = {2: "产品 / Products", 7: "Results", 1: "[/Rates]"}


def records(rows: list[Row], topic_of: Callable[[Row], str | None]) -> str:
    """The rows as JSONL with topics as named."""
    lines = [
        {"text": row.text, "sentiment": SENTIMENTS[row.sentiment], "lang": row.lang, "topic": topic_of(row)}
        for row in rows
    ]
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)


@pytest.fixture
def labelled(rows: list[Row], jsonl: Callable[..., Path]) -> Path:
    """The shared rows with the twenty's names."""
    return jsonl(records(rows, lambda row: TOPICS[row.topic]))


@pytest.fixture
def own(rows: list[Row], jsonl: Callable[..., Path]) -> Path:
    """The shared rows with a desk's own names."""
    return jsonl(records(rows, lambda row: OWN.get(row.topic, "Other")), "own.jsonl")


@pytest.fixture
def bases(rows: list[Row], tmp_path: Path) -> dict[str, Path]:
    """Two GPT-2s as people publish them."""
    texts = [row.text for row in rows]
    return {"english": english_gpt2(tmp_path / "english", texts), "chinese": chinese_gpt2(tmp_path / "chinese", texts)}


def call(*arguments: object) -> Result:
    """`newsquake model ...`."""
    return CliRunner().invoke(model, [str(argument) for argument in arguments])


def printed(*arguments: object) -> Any:
    """What a call that must succeed prints as JSON."""
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("base", ["english", "chinese"])
def test_any_gpt2_by_any_method_is_trained_evaluated_and_served(
    bases: dict[str, Path], labelled: Path, tmp_path: Path, base: str, method: str
) -> None:
    out = tmp_path / "out"
    report = printed("train", labelled, "--base", bases[base], "--method", method, "--out", out, *FEW)
    assert len(report["epochs"]) == 2
    figures = printed("evaluate", labelled, "--checkpoint", out, "--json")
    assert figures["topic"]["n"] == 60
    scores = Engine.load(ModelsSettings(checkpoint=str(out))).score(["央行加息", "Orvion profit doubles", ""])
    assert {score.topic for score in scores} <= set(TOPICS)
    assert not [path for path in out.iterdir() if path.is_dir()]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("base", ["english", "chinese"])
def test_the_engine_says_what_the_trained_model_says(
    bases: dict[str, Path], labelled: Path, tmp_path: Path, base: str, method: str
) -> None:
    out = tmp_path / "out"
    tokenizer = json.loads((bases["english"] / "tokenizer_config.json").read_text())
    (bases["english"] / "tokenizer_config.json").write_text(json.dumps(tokenizer | {"truncation_side": "left"}))
    printed("train", labelled, "--base", bases[base], "--method", method, "--lr", 0.01, "--out", out, *FEW)
    texts = ["央行加息", "Orvion profit doubles", "", "海川股份" * 400, "profit warning at Halden Bank " * 90, "\u200b"]
    trained, tokenizer = load_monitor(str(out))
    sentiment, topic = predict_logits(trained, tokenizer, texts, trained.config.n_positions)
    served = Engine.load(ModelsSettings(checkpoint=str(out), dtype="float32")).probabilities(texts)
    assert served[0] == pytest.approx(softmax(sentiment / trained.config.sentiment_temperature), abs=1e-4)
    assert served[1] == pytest.approx(softmax(topic / trained.config.topic_temperature), abs=1e-4)
    assert served[1].std(axis=0).max() > 1e-3


def test_own_topics_are_learnt_served_described_and_evaluated(
    bases: dict[str, Path], own: Path, labelled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    printed("train", own, "--base", bases["chinese"], "--topics", "own", "--out", out, *FEW)
    names = ["[/Rates]", "Other", "Results", "产品 / Products"]
    assert printed("info", "--checkpoint", out, "--json")["topics"] == names
    assert "[/Rates]" in call("info", "--checkpoint", out).stdout
    engine = Engine.load(ModelsSettings(checkpoint=str(out)))
    assert {score.topic for score in engine.score(["央行加息", "Orvion"])} <= set(names)
    assert printed("evaluate", own, "--checkpoint", out, "--peers", own, "--json")["topic"]["n"] == 60
    other = call("evaluate", labelled, "--checkpoint", out)
    assert other.exit_code == 2
    assert "rows.jsonl:1: unknown topic 'company_product': use one of [/Rates], Other, Results" in other.stderr


def test_a_classifier_of_own_topics_goes_on_with_them(
    bases: dict[str, Path], own: Path, labelled: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    printed("train", own, "--base", bases["english"], "--topics", "own", "--out", first, *FEW)
    printed("train", own, "--base", first, "--out", second, *FEW)
    assert load_monitor(str(second))[0].config.topics[0] == "[/Rates]"
    printed("train", labelled, "--base", first, "--topics", "twenty", "--out", tmp_path / "third", *FEW)
    assert load_monitor(str(tmp_path / "third"))[0].config.topics == list(TOPICS)


def test_an_unknown_topic_stays_an_error_unless_own_ones_are_asked_for(own: Path, tmp_path: Path) -> None:
    result = call("train", own, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "own.jsonl:1: unknown topic '产品 / Products': use one of analyst_update, central_banks" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_pretraining_comes_first_and_says_what_it_brought(
    bases: dict[str, Path], labelled: Path, rows: list[Row], jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = jsonl("\n".join(f"{row.text} {number}" for number in range(5) for row in rows), "corpus.txt")
    asked = ("--base", bases["chinese"], "--continue-pretraining", corpus, "--pretraining-lr", "0.003", *FEW)
    report = printed("train", labelled, "--out", tmp_path / "out", "--pretraining-epochs", "2", *asked)
    assert report["pretraining"]["perplexity_after"] < report["pretraining"]["perplexity_before"]
    assert not (tmp_path / "out" / "pretrained.safetensors").exists()
    table = call("train", labelled, "--out", tmp_path / "table", *asked[:-1])
    assert "perplexity" in table.stdout
    assert Engine.load(ModelsSettings(checkpoint=str(tmp_path / "out"))).score(["央行"])[0].topic in TOPICS


@pytest.mark.parametrize("killed_in_epoch", [1, 2])
def test_a_run_with_pretraining_and_adapters_is_resumed_where_it_stopped(
    bases: dict[str, Path], labelled: Path, tmp_path: Path, killed_in_epoch: int
) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(f"Orvion sells {number} shares" for number in range(60)))

    def killed(epoch: int, step: int, _steps: int, _loss: float) -> None:
        if (epoch, step) == (killed_in_epoch, 2):
            raise KeyboardInterrupt

    def asked(name: str, **how: Any) -> FineTuning:
        settings = TrainSettings(epochs=3, batch_size=8, lr=1e-2, method="adalora", accumulate=2, device="cpu")
        before = TrainSettings(epochs=1, batch_size=4, lr=1e-3, device="cpu")
        return FineTuning(
            [labelled], tmp_path / name, str(bases["english"]), settings, 30, corpus=corpus, pretraining=before, **how
        )

    whole = fine_tune(asked("whole"), lambda *_: None, lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(asked("cut"), lambda *_: None, killed)
    torch.manual_seed(123)
    stages: list[str] = []
    resumed = fine_tune(asked("cut", resume=True), lambda stage, *_: stages.append(stage), lambda *_: None)
    assert not stages
    assert resumed.pretraining == whole.pretraining
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_course_is_there_for_tensorboard(bases: dict[str, Path], labelled: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    printed("train", labelled, "--base", bases["english"], "--out", tmp_path / "o", "--tensorboard", board, *FEW)
    events = EventAccumulator(str(board))
    events.Reload()
    assert {"train/loss", "train/rate", "held_back/sentiment_macro_f1"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("held_back/topic_ece")) == 2


def test_every_option_reaches_the_run(bases: dict[str, Path], labelled: Path, tmp_path: Path) -> None:
    options = (
        "--rank", 2, "--accumulate", 2, "--lr", 0.002, "--layer-decay", 0.9, "--clip", 0.5, "--class-weights", "none",
        "--patience", 1, "--max-tokens", 16, "--rdrop", 0.5, "--fgm", 0.5, "--seed", 3,
    )  # fmt: skip
    plain = ("train", labelled, "--base", bases["english"], "--method", "adapter", *FEW)
    printed(*plain, "--out", tmp_path / "out", *options)
    assert load_monitor(str(tmp_path / "out"))[0].config.n_inner == 4 * 32 + 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--method", "prefix"], "method 'prefix' is unknown: use one of full, lora, adalora, adapter"),
        (["--topics", "mine"], "topics 'mine' is unknown: use one of base, twenty, own"),
        (["--class-weights", "even"], "class_weights 'even' is unknown"),
        (["--layer-decay", "1.5"], "layer_decay must be"),
        (["--base", "/nowhere"], "no checkpoint in '/nowhere'"),
        (["--continue-pretraining", "gone.txt"], "gone.txt: No such file"),
        (["--device", "cuda:9"], "is not here"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_a_wrong_wish_is_one_line_before_the_first_step(
    labelled: Path, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    result = call("train", labelled, "--out", tmp_path / "out", "--held-back", "30", *arguments)
    assert result.exit_code in (1, 2)
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("topic_of", "options", "complaint"),
    [
        (lambda row: "same", ["--topics", "own"], "the files name 1 topics"),
        (lambda row: None, ["--topics", "own"], "the files name 0 topics"),
        (lambda row: "x" * 81, ["--topics", "own"], ":1: topic 'xxxxxxxxxxxxxxxxxxxx' has 81 characters"),
        (lambda row: "energy", [], "every labelled training row has the topic 'energy'"),
    ],
)
def test_topics_that_cannot_be_learnt_are_refused(
    rows: list[Row],
    jsonl: Callable[..., Path],
    tmp_path: Path,
    topic_of: Callable[[Row], str | None],
    options: list[str],
    complaint: str,
) -> None:
    result = call("train", jsonl(records(rows, topic_of)), "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_told_before_the_base_is_loaded(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    result = call("train", labelled, "--out", tmp_path / "taken" / "out", "--base", "shipped")
    assert result.exit_code == 2
    assert "cannot write to" in result.stderr


def test_options_for_files_are_refused_with_a_recipe(tmp_path: Path) -> None:
    result = call("train", "--recipe", "default", "--data", tmp_path, "--out", tmp_path / "o", "--method", "lora")
    assert result.exit_code == 2
    assert "go with files" in result.stderr


def test_the_shipped_classifier_and_a_new_one_are_bases_too(
    labelled: Path, own: Path, new_model: Callable[[], GPT2Monitor], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    save_monitor(new_model(), tokenizer, tmp_path / "tiny")
    one_epoch = ("--epochs", "1", *FEW[2:])
    printed("train", labelled, "--base", "shipped", "--method", "lora", "--out", tmp_path / "shipped", *one_epoch)
    printed("train", own, "--base", "scratch", "--topics", "own", "--out", tmp_path / "scratch", *one_epoch)
    assert Engine.load(ModelsSettings(checkpoint=str(tmp_path / "scratch"))).topics[0] == "[/Rates]"
