"""`newsquake alerts backtest`: labels, verdicts and the cache by themselves, and the command over the demo's stream."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.settings import ModelsSettings
from newsquake.backtest.labels import Window, read_labels
from newsquake.backtest.outcome import Alert, judge
from newsquake.backtest.score_cache import CachedScore, ScoreCache
from newsquake.backtest.scoring import read_files, score_missing, unscored
from newsquake.errors import LabelsInvalid, NewsquakeError
from tests.newsquake.test_cli import assert_refused, newsquake

DEMO = Path(__file__).parents[2] / "demo" / "stream.jsonl"
DAY = datetime(2026, 3, 11, tzinfo=UTC)
NOW = DAY + timedelta(days=365)


def labels(folder: Path, content: Any) -> Path:
    path = folder / "windows.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_labels_are_windows_with_or_without_names(tmp_path: Path) -> None:
    named = read_labels(labels(tmp_path, {"run": [["2026-03-11T10:00", "2026-03-11T20:00+08:00"]]}))
    assert named == [Window(DAY + timedelta(hours=10), DAY + timedelta(hours=12), "run")]
    assert read_labels(labels(tmp_path, [["2026-03-11", "2026-03-11"]])) == [Window(DAY, DAY + timedelta(days=1))]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"run": ["2026-03-11", "2026-03-12"]}, "is not a window"),
        ({"run": "2026-03-11"}, "is not {"),
        ([["2026-03-12T10:00", "2026-03-11T10:00"]], "ends before it starts"),
        ([["yesterday", "2026-03-11"]], "is not a time"),
        (7, "is not {"),
    ],
)
def test_what_is_wrong_with_labels_is_said(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(LabelsInvalid, match=says):
        read_labels(labels(tmp_path, content))


def alert(*told: float) -> Alert:
    """An alert that people would have been told of so many hours into the day."""
    at = [DAY + timedelta(hours=hours) for hours in told]
    return Alert(at[0], None, "financials", [], [], "warning", "volume", 60, 9, 1.0, 9, 1e-9, 3, told_at=at)


def test_a_verdict_counts_what_people_would_have_been_told() -> None:
    windows = [
        Window(DAY + timedelta(hours=first), DAY + timedelta(hours=first + 2), f"at {first}") for first in (4, 8)
    ]
    windows.append(Window(DAY + timedelta(days=9), DAY + timedelta(days=10), "not covered"))
    judged, verdict = judge([alert(1.0), alert(3.0, 4.5)], windows, [DAY], 0.5)
    assert [(found.right, found.label) for found in judged] == [(False, None), (True, "at 4")]
    assert (verdict.precision, verdict.recall, verdict.median_delay_minutes) == (0.5, 0.5, 30.0)
    assert (verdict.false_alerts, verdict.false_alerts_per_week) == (1, 2.0)
    assert [found.covered for found in verdict.windows] == [True, True, False]


def test_no_alerts_and_no_windows_are_no_division_by_zero() -> None:
    _, verdict = judge([], [], [DAY], 1.0)
    assert (verdict.precision, verdict.recall, verdict.median_delay_minutes) == (None, None, None)


def test_the_cache_knows_again_what_was_scored_and_nothing_else(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path, "model-1", 256)
    score = CachedScore("central_banks", 0.7, 0.2, 0.1)
    cache.put([(cache.key("rates up"), score)])
    cache.save()
    again = ScoreCache(tmp_path, "model-1", 256)
    assert again.get(again.key("rates up")) == score
    assert (score.sentiment, score.confidence) == ("negative", 0.7)
    assert again.get(again.key("rates down")) is None
    assert len(ScoreCache(tmp_path, "model-2", 256)) == 0
    assert b"rates" not in again.path.read_bytes()


def test_an_empty_cache_can_be_saved_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path, "model", 256)
    cache.save()
    assert len(ScoreCache(tmp_path, "model", 256)) == 0
    cache.path.write_bytes(b"not a cache")
    with pytest.raises(NewsquakeError, match="remove it"):
        ScoreCache(tmp_path, "model", 256)


def test_files_are_read_once_in_order_and_days_are_spread(tmp_path: Path) -> None:
    rows = [
        {"ts": "2026-03-11T00:00:00Z", "ts_precision": "day", "source": "a", "stream": "news", "text": f"headline {n}"}
        for n in range(40)
    ]
    rows.append({"source": "a", "stream": "news", "text": "no time"})
    path = tmp_path / "stream.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    found = read_files([path, path], now=NOW)
    times = [message.published_at for message, _ in found.entries]
    assert (len(times), found.rejected) == (40, 2)
    assert times == sorted(times) and len({at.hour for at in times}) > 10
    assert "line 41" in found.rejections[0]


def test_a_second_run_scores_nothing_and_the_scores_are_the_classifiers(tmp_path: Path) -> None:
    settings = ModelsSettings()
    entries = read_files([DEMO], now=NOW).entries[:20]
    cache = ScoreCache(tmp_path, "model", settings.max_tokens)
    told: list[int] = []
    missing = unscored(entries, cache)
    score_missing(missing, cache, settings, told.append)
    assert sum(told) == len(missing) > 10
    assert unscored(entries, ScoreCache(tmp_path, "model", settings.max_tokens)) == {}


@pytest.mark.integration
def test_the_demos_bank_run_is_found_told_as_json_and_drawn(tmp_path: Path) -> None:
    run = labels(tmp_path, {"bank run": [["2026-03-11T10:00", "2026-03-11T20:00"]]})
    arguments = ("alerts", "backtest", str(DEMO), "--labels", str(run), "--cache", str(tmp_path / "scores"), "--json")
    first = newsquake(*arguments, "--plot", str(tmp_path / "plots"))
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert (report["documents"], report["rejected"]) == (1491, 0)
    assert report["newly_scored"] > 1000
    (found,) = report["alerts"]
    assert (found["topic"], found["right"], found["label"]) == ("financials", True, "bank run")
    assert report["verdict"]["recall"] == report["verdict"]["precision"] == 1.0
    assert [Path(path).name for path in report["plots"]] == ["news.png", "comment.png"]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in report["plots"])
    again = json.loads(newsquake(*arguments).stdout)
    assert again["newly_scored"] == 0
    assert again["alerts"] == report["alerts"]
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "names"\nscope = { entities = ["*"] }\n', "utf-8")
    (named,) = json.loads(newsquake(*arguments, "--rules", str(rules)).stdout)["alerts"]
    assert (named["rule"], named["topic"], named["entity"], named["right"]) == ("names", "*", "Merrowdale Bank", True)


def test_wrong_usage_is_one_line(tmp_path: Path) -> None:
    assert_refused(newsquake("alerts", "backtest", str(tmp_path / "none.jsonl")), "cannot be read")
    wrong = labels(tmp_path, {"run": 1})
    assert_refused(newsquake("alerts", "backtest", str(DEMO), "--labels", str(wrong)), "is not {")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", "utf-8")
    done = newsquake("alerts", "backtest", str(empty))
    assert (done.returncode, done.stderr) == (1, "newsquake: the files hold no valid message\n")
