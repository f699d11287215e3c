"""Plots of trends: in a terminal and as a picture."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine

from newsquake.commands.charts import bars, chart
from newsquake.commands.trends import read_trends
from storage.activation import activate
from storage.settings import StorageSettings
from storage.writer import BatchWriter
from tests.newsquake.test_cli import newsquake
from tests.storage.rows import document

START = datetime(2026, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_bars_show_even_one_of_many_and_nothing_for_nothing() -> None:
    assert bars([0, 16, 8, 0.001], 2) == [" █  ", " ██▁"]
    assert bars([1, 0], 1, width=3) == ["███   "]
    assert bars([0, 0], 2) == ["  ", "  "]
    assert bars([], 2) == ["", ""]


def test_a_chart_has_its_scale_at_the_left_and_times_below() -> None:
    lines = chart([0, 5, 10], START, HOUR, form=",.0f", columns=40, height=2)
    assert lines[0].startswith("10 ┤") and lines[1].startswith(" 0 ┤")
    assert lines[2].strip() == "└" + "┬───────────" * 3
    assert lines[3].split() == ["00:00", "01:00", "02:00"]
    assert all(len(line) <= 40 for line in lines)


@pytest.mark.parametrize(("step", "label"), [(HOUR, "00:00"), (24 * HOUR, "03-10"), (12 * HOUR, "03-10 00:00")])
def test_labels_are_as_fine_as_the_buckets(step: timedelta, label: str) -> None:
    lines = chart([1] * 8, START, step, form=".0%")
    assert label in lines[-1] and len(lines[-1]) <= 80


@pytest.mark.parametrize("count", [1, 24, 60, 200])
def test_labels_stand_under_their_ticks_however_many_bars_there_are(count: int) -> None:
    *_, ticks, labels = chart([1.0] * count, START, timedelta(minutes=1), form=".0%")
    assert len(labels) <= len(ticks) + 5
    for place, character in enumerate(labels):
        if character == "0" and labels[place - 1] == " " and labels[place : place + 5].count(":") == 1:
            assert ticks[place] == "┬"


def test_one_topic_gets_a_chart_and_pictures_are_drawn(
    storage_settings: StorageSettings, database: Engine, tmp_path: Path
) -> None:
    env = {"NEWSQUAKE_STORAGE_URL": storage_settings.url.get_secret_value(), "MPLCONFIGDIR": str(tmp_path)}
    BatchWriter(database, "m").write([document(n) for n in range(300)])
    one = newsquake("trends", "--topic", "energy", "--since", "1h", **env).stdout
    assert "energy: negative messages" in one and "┤" in one
    assert "┤" not in newsquake("trends", "--no-chart", "--topic", "energy", **env).stdout
    assert "┤" not in newsquake("trends", **env).stdout
    for name, begins in (("all.png", b"\x89PNG"), ("all.svg", b"<?xml")):
        done = newsquake("trends", "--plot", str(tmp_path / name), **env)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).read_bytes().startswith(begins)
    wrong = newsquake("trends", "--plot", "trends.docx", **env)
    assert wrong.returncode == 2 and "--plot" in wrong.stderr


def test_a_topic_that_another_model_emptied_is_no_trend(database: Engine) -> None:
    first = [document(n) for n in range(9)]
    BatchWriter(database, "old").write(first)
    BatchWriter(database, "new").write([msgspec.structs.replace(one, topic="macro") for one in first])
    activate(database, "new")
    _, found = read_trends(database)
    assert [(trend.topic, trend.n) for trend in found] == [("macro", 9)]
