"""The score of a count series: it never looks ahead, tells onsets, is never silent, and reads what people have."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from alerts.count_baseline import by_hour, expectations
from alerts.count_files import InvalidSeries, read_series, write_scores
from alerts.count_series import VolumeTest, calibrate, novelty, score
from newsquake.cli import app

MONDAY = 1_767_571_200.0
DAY_ROWS = 288


def five_minutes(days: int, seed: int = 1, mean: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and counts of quiet days, busier in the afternoon."""
    rows = np.arange(days * DAY_ROWS)
    rate = mean * (1 + 0.6 * np.sin(2 * np.pi * (rows / DAY_ROWS - 0.4)))
    return MONDAY + 300.0 * rows, np.random.default_rng(seed).poisson(rate).astype(float)


@pytest.mark.parametrize("rows", [1, 2, 7, 13, 300, 1_000, 1_727])
def test_what_comes_later_changes_no_earlier_score(rows: int) -> None:
    seconds, values = five_minutes(6)
    values[rows:] = 500
    whole = score(seconds, values)
    assert np.array_equal(score(seconds[:rows], values[:rows]), whole[:rows])


def test_a_spike_scores_highest_at_its_onset_and_less_while_it_lasts() -> None:
    seconds, values = five_minutes(14)
    onset = 12 * DAY_ROWS + 150
    values[onset : onset + 12] += 40
    scores = score(seconds, values)
    assert scores.argmax() == onset
    assert np.median(scores[onset + 1 : onset + 12]) < 0.2 < scores[onset] / 2


def test_the_first_day_is_not_silent() -> None:
    seconds, values = five_minutes(1)
    values[5] = values[100] = 200
    scores = score(seconds, values)
    assert scores[5] > 0.3
    assert scores[100] > 0.3


def test_a_short_history_makes_the_same_spike_less_sure() -> None:
    seconds, values = five_minutes(15)
    spike = 14 * DAY_ROWS + 150
    values[spike] = 30
    young = slice(spike - 18, None)
    assert score(seconds[young], values[young])[18] < score(seconds, values)[spike]


def test_an_hour_of_the_day_that_was_never_seen_has_wide_limits() -> None:
    seconds, values = five_minutes(10)
    mornings = seconds % 86_400 < 12 * 3_600
    mornings[-DAY_ROWS:] = True
    by_row = {one.rows.start: one.doubt for one in expectations(by_hour(seconds[mornings], values[mornings]))}
    last_day = int(mornings.sum()) - DAY_ROWS
    assert by_row[last_day + 5 * 12] < 0.2 < 0.4 < by_row[last_day + 18 * 12]


def test_a_gap_is_neither_calm_nor_a_spike_on_return() -> None:
    seconds, values = five_minutes(12)
    there = np.ones(values.size, dtype=bool)
    there[8 * DAY_ROWS + 100 : 9 * DAY_ROWS + 200] = False
    scores = score(seconds[there], values[there])
    assert scores[8 * DAY_ROWS + 100 : 8 * DAY_ROWS + 124].max() < 0.5


def test_a_busy_hour_of_every_day_is_no_news() -> None:
    seconds, values = five_minutes(21)
    for day in range(21):
        values[day * DAY_ROWS + 156 : day * DAY_ROWS + 168] += 25
    scores = score(seconds, values)
    assert scores[20 * DAY_ROWS :].max() < 0.5
    assert scores[156:168].max() > scores[20 * DAY_ROWS + 156 : 20 * DAY_ROWS + 168].max()


def test_steps_may_differ_and_days_are_steps_too() -> None:
    random = np.random.default_rng(3)
    seconds = MONDAY + np.cumsum(random.uniform(1, 4_000, 800))
    values = random.poisson(3.0, 800).astype(float)
    values[700] = 60
    assert score(seconds, values).argmax() == 700
    daily = MONDAY + 86_400.0 * np.arange(120)
    counts = random.poisson(20.0, 120).astype(float)
    counts[100] = 200
    assert score(daily, counts).argmax() == 100


def test_calibration_takes_surprises_for_what_they_are_worth_in_a_wild_series() -> None:
    random, test = np.random.default_rng(5), VolumeTest()
    calm = random.exponential(1 / np.log(10), 8_000)
    now = np.array([4.0])
    assert calibrate(now, calm, test)[0] == pytest.approx(4.0, abs=0.4)
    assert calibrate(now, 3 * calm, test)[0] < 2
    assert calibrate(now, calm[:10], test)[0] == 4.0


def test_novelty_takes_away_the_strongest_of_late_which_fades() -> None:
    seconds = np.array([0.0, 300, 4 * 3_600, 4 * 3_600 + 300])
    found = novelty(seconds, np.array([4.0, 3.0, 3.0, 8.0]), half_life_h=4)
    assert found == pytest.approx([4, 0, 1, 5], abs=0.1)


def test_a_file_keeps_its_rows_and_gains_a_column(tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv.gz", tmp_path / "out.csv"
    source.write_bytes(gzip.compress(b"timestamp,other,value\n2026-01-05 10:00:00,x,3\n2026-01-05T10:05:00Z,y,4.0\n"))
    result = CliRunner().invoke(app, ["alerts", "score-series", str(source), "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["highest"]["value"] == 4.0
    lines = [line.split(",") for line in out.read_text().splitlines()]
    assert lines[0] == ["timestamp", "value", "anomaly_score"]
    assert [line[:2] for line in lines[1:]] == [["2026-01-05 10:00:00", "3"], ["2026-01-05T10:05:00Z", "4.0"]]
    assert all(0 <= float(line[2]) <= 1 for line in lines[1:])


def test_the_file_that_is_read_is_not_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("timestamp,value\n2026-01-05,3\n")
    assert CliRunner().invoke(app, ["alerts", "score-series", str(source), "--out", str(source)]).exit_code == 2
    assert source.read_text() == "timestamp,value\n2026-01-05,3\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no columns"),
        ("time,value\n", "no columns"),
        ("timestamp,value\n", "no rows"),
        ("timestamp,value\nyesterday,3\n", "row 2: 'yesterday'"),
        ("timestamp,value\n2026-01-05,-1\n", "row 2: '-1'"),
        ("timestamp,value\n2026-01-05,nan\n", "row 2: 'nan'"),
        ("timestamp,value\n2026-01-05\n", "row 2: a cell is missing"),
        ("timestamp,value\n2026-01-05,1\n2026-01-04,1\n", "row 3: '2026-01-04' is earlier"),
    ],
)
def test_a_file_that_is_no_series_is_told_by_its_row(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(text)
    with pytest.raises(InvalidSeries, match=said):
        read_series(path)


def test_a_missing_or_broken_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_text("timestamp,value\n")
    for name in ("a.csv.gz", "none.csv"):
        with pytest.raises(InvalidSeries, match="cannot be read"):
            read_series(tmp_path / name)


def test_scores_are_written_without_closing_what_they_go_to(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("timestamp,value\n2026-01-05,3\n")
    target = io.BytesIO()
    write_scores(target, read_series(path), np.array([0.25]))
    assert target.getvalue() == b"timestamp,value,anomaly_score\n2026-01-05,3,0.250000\n"
