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
    assert set(figures) == {
        "model", "sentiment", "topic", "by_lang", "by_file", "binary", "reliability", "risk_coverage"
    }  # fmt: skip
    assert set(figures["sentiment"]) == {"n", "accuracy", "macro_f1", "weighted_f1", "ece"}
    assert figures["by_lang"]["en"]["topic"]["n"] + figures["by_lang"]["zh"]["topic"]["n"] == 60


def test_evaluate_compares_with_peers_on_the_same_rows(labelled: Path) -> None:
    result = run(model, ["evaluate", str(labelled), "--peers", str(labelled), "--json"])
    assert result.exit_code == 0, result.output
    svm, lexicon, e5 = json.loads(result.stdout)["peers"]
    assert [peer["sentiment"]["n"] for peer in (svm, lexicon, e5)] == [60, 60, 60]
    assert svm["sentiment"]["accuracy"] > 0.9
    assert e5["sentiment"]["accuracy"] > 0.9
    assert lexicon["topic"]["n"] == 0
    assert (svm["sentiment"]["ece"], lexicon["sentiment"]["ece"]) == (None, None)


def test_evaluate_reports_robustness(labelled: Path) -> None:
    result = run(model, ["evaluate", str(labelled), "--robustness", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)["robustness"]
    assert {line["lang"] for line in report["disturbed"]} == {"en", "zh"}
    assert {line["kind"] for line in report["pairs"]} == {"negation", "direction", "numbers"}
    assert {line["slot"] for line in report["names"]} == {"bank", "company", "country", "person"}


def test_agreement_says_how_far_two_labellers_agree(labelled: Path, jsonl: Callable[..., Path]) -> None:
    other = jsonl(labelled.read_text().replace('"positive"', '"neutral"'), "other.jsonl")
    result = run(model, ["agreement", str(labelled), str(other), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["topic"]["kappa"] == 1.0
    assert figures["sentiment"]["accuracy"] == pytest.approx(2 / 3, abs=1e-3)
    assert figures["sentiment"]["confusion"]["positive"] == {"neutral": 20}
    assert "first says" in run(model, ["agreement", str(labelled), str(other)]).stdout


def test_duplicates_fail_a_file_that_repeats_itself(labelled: Path, jsonl: Callable[..., Path]) -> None:
    fine = jsonl('{"text": "Savers queue as Halden Bank caps withdrawals"}\n{"text": "央行今日未开展操作"}', "f.jsonl")
    assert run(model, ["duplicates", str(fine)]).exit_code == 0
    # The shared rows are twelve sentences with five numbers each.
    result = run(model, ["duplicates", str(labelled), "--json"])
    assert result.exit_code == 1
    assert "have a near-duplicate" in result.stderr
    assert json.loads(result.stdout)["share"] > 0.5
    assert run(model, ["duplicates", str(labelled), "--max-share", "1"]).exit_code == 0


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
    shown = run(model, ["evaluate", str(labelled), "--robustness"]).stdout
    for heading in ("macro F1", "Stated confidence", "coverage", "Rows disturbed", "good above bad", "max range"):
        assert heading in shown
    described = run(model, ["info"]).stdout
    assert "default-" in described
    assert "abstain below" in described


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["evaluate", "gone.jsonl"], "No such file"),
        (["agreement", "gone.jsonl", "gone.jsonl"], "No such file"),
        (["duplicates", "gone.jsonl"], "No such file"),
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
