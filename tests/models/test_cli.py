"""`newsquake model` as people call it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.cli import model
from models.labels import SENTIMENTS, TOPICS
from models.model import GPT2Monitor, save_monitor
from models.rows import Row

run = CliRunner().invoke


@pytest.fixture
def labelled(rows: list[Row], jsonl: Callable[[str], Path]) -> Path:
    """The shared rows as a file."""
    records = (
        {"text": row.text, "sentiment": SENTIMENTS[row.sentiment], "topic": TOPICS[row.topic], "lang": row.lang}
        for row in rows
    )
    return jsonl("\n".join(json.dumps(record, ensure_ascii=False) for record in records))


@pytest.fixture
def tiny(new_model: Callable[[], GPT2Monitor], tokenizer: object, tmp_path: Path) -> Path:
    """A tiny random checkpoint on disk."""
    save_monitor(new_model(), tokenizer, tmp_path / "tiny")
    return tmp_path / "tiny"


def test_evaluate_prints_one_json_document(labelled: Path) -> None:
    result = run(model, ["evaluate", str(labelled), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert set(figures) == {"model", "sentiment", "topic", "by_lang"}
    assert set(figures["sentiment"]) == {"n", "accuracy", "macro_f1", "weighted_f1", "ece"}
    assert figures["by_lang"]["en"]["topic"]["n"] + figures["by_lang"]["zh"]["topic"]["n"] == 60


def test_evaluate_compares_with_a_peer(labelled: Path) -> None:
    result = run(model, ["evaluate", str(labelled), "--peer", str(labelled), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["peer"]["sentiment"]["accuracy"] > 0.9


def test_train_writes_a_checkpoint_that_info_describes(labelled: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["train", str(labelled), "--base", str(tiny), "--out", str(out), "--epochs", "1", "--json"]
    trained = run(model, [*arguments, "--held-back", "30"])
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["best_epoch"] == 1
    described = run(model, ["info", "--checkpoint", str(out), "--json"])
    assert json.loads(described.stdout)["layers"] == 3
    again = run(model, arguments)
    assert again.exit_code == 2
    assert "already holds a checkpoint" in again.stderr


def test_tables_are_for_people(labelled: Path) -> None:
    assert "macro F1" in run(model, ["evaluate", str(labelled)]).stdout
    assert "default-" in run(model, ["info"]).stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["evaluate", "gone.jsonl"], "No such file"),
        (["info", "--checkpoint", "/nowhere/at/all"], "no checkpoint"),
        (["info", "--checkpoint", "tiny/relative"], "no checkpoint"),
        (["train", "--out", "x"], "name labelled files"),
        (["train", "--out", "x", "--recipe", "default"], "needs --data"),
        (["train", "--out", "x", "--recipe", "other", "--data", "."], "no recipe 'other'"),
        (["train", "gone.jsonl", "--out", "x"], "No such file"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_two(arguments: list[str], complaint: str) -> None:
    result = run(model, arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_wrong_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSQUAKE_MODELS_TOKEN_BUDGET", "many")
    result = run(model, ["info"])
    assert result.exit_code == 2
    assert "NEWSQUAKE_MODELS_TOKEN_BUDGET" in result.stderr


def test_nothing_to_resume_is_a_failure_of_the_work(labelled: Path, tiny: Path, tmp_path: Path) -> None:
    result = run(model, ["train", str(labelled), "--base", str(tiny), "--out", str(tmp_path / "o"), "--resume"])
    assert result.exit_code == 1
    assert "nothing to resume" in result.stderr
