"""The benchmark of spikes: its rules against figures worked out by hand, its peers, and a whole small run."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from alerts.series import ALL, Series
from bench.errors import BenchUsage
from bench.spikes import minute, topics
from bench.spikes.files import read_labelled
from bench.spikes.nab import Labelled, at_threshold, optimise, probation, worth
from bench.spikes.peers import three_sigma, windowed_gaussian
from bench.spikes.run import Request, run
from bench.spikes.synthetic import Traffic, curve, generate
from bench.spikes.synthetic import run as run_synthetic
from bench.spikes.tables import remarks, tables

ROWS = 2_000


def ignored(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


def labelled(*windows: tuple[int, int]) -> Labelled:
    return Labelled("x", np.arange(ROWS) * 300.0, np.ones(ROWS), windows)


def reported(*rows: int) -> np.ndarray:
    scores = np.zeros(ROWS)
    scores[list(rows)] = 1.0
    return scores


def sigmoid(position: float) -> float:
    return 2 / (1 + math.exp(5 * position)) - 1


def test_probation_is_15_percent_of_at_most_5000_rows() -> None:
    assert (probation(1_000), probation(5_000), probation(15_902)) == (150, 750, 750)


def test_silence_has_0_and_the_first_row_of_every_window_100() -> None:
    one = labelled((500, 599), (1_000, 1_099))
    assert at_threshold([one], [reported()], 0.5).score == 0
    assert at_threshold([one], [reported(500, 1_000)], 0.5).score == pytest.approx(100)
    assert optimise([one], [reported(500, 1_000)]).score == pytest.approx(100)


def test_a_later_row_of_a_window_is_worth_less_and_only_the_best_one_counts() -> None:
    one = labelled((500, 599))
    middle = 50 * (1 + sigmoid(-0.5) / sigmoid(-1))
    assert at_threshold([one], [reported(550)], 0.5).score == pytest.approx(middle)
    assert at_threshold([one], [reported(550, 570, 599)], 0.5).score == pytest.approx(middle)


def test_a_row_outside_costs_and_less_just_behind_a_window() -> None:
    value, member = worth(ROWS, [(500, 599)])
    assert value[400] == pytest.approx(-0.11)
    assert value[600] == pytest.approx(0.11 * sigmoid(1 / 99))
    assert value[1_500] == pytest.approx(-0.11)
    assert set(member[500:600]) == {0}
    assert at_threshold([labelled((500, 599))], [reported(500, 400)], 0.5).score == pytest.approx(100 - 11 / 2)


def test_rows_in_probation_count_for_nothing() -> None:
    assert at_threshold([labelled((500, 599))], [reported(500, 10, 299)], 0.5).score == pytest.approx(100)


def test_the_best_threshold_is_the_best_of_all() -> None:
    random = np.random.default_rng(2)
    series = [labelled((500, 599), (1_000, 1_099)), labelled((700, 799))]
    scores = [random.integers(0, 40, ROWS) / 40 for _ in series]
    scores[0][520] = scores[0][300] = 1.0
    best = optimise(series, scores)
    every = [at_threshold(series, scores, limit) for limit in np.unique(np.concatenate(scores))]
    assert best.score == pytest.approx(max(one.score for one in every))
    again = at_threshold(series, scores, best.threshold)
    assert again.score == pytest.approx(best.score)
    assert (again.found, again.false_rows) == (best.found, best.false_rows)


def test_the_windowed_gaussian_is_that_of_the_rows_before() -> None:
    values = np.random.default_rng(1).normal(10, 2, 300)
    scores = windowed_gaussian(values)
    before = values[:250]
    z = abs(values[250] - before.mean()) / before.std()
    assert scores[250] == pytest.approx(1 - 0.5 * math.erfc(z / math.sqrt(2)))
    assert windowed_gaussian(np.ones(5))[-1] == pytest.approx(0.5)


def test_three_deviations_are_a_half() -> None:
    values = np.tile([8.0, 12.0], 50)
    assert three_sigma(np.append(values, 16.0), 100)[-1] == pytest.approx(0.5)
    assert three_sigma(np.append(values, 4.0), 100)[-1] == 0


def test_generated_series_have_the_rate_and_the_rises_that_they_are_said_to_have() -> None:
    series = generate(Traffic(), 0)
    assert series.clean.mean() * 60 == pytest.approx(10, rel=0.1)
    added = [(series.risen - series.clean)[start : start + 120].sum() for start in series.starts]
    assert np.mean(added) == pytest.approx(2 * 2 * 10, rel=0.25)
    assert (series.risen - series.clean).sum() == sum(added)
    assert datetime.fromtimestamp(series.seconds[0], UTC).weekday() == 0


def test_a_point_of_the_curve_has_the_false_alerts_that_are_allowed_and_the_delay_at_them() -> None:
    highs = np.arange(2_000.0)
    during = np.zeros((4, 120))
    during[0, 9] = during[1, 19] = during[2, 29] = 1_995.0
    points = {point["false_alerts_allowed"]: point for point in curve(highs, during, months=100.0)}
    assert (points[10]["false_alerts"], points[10]["told"], points[10]["median_delay_min"]) == (10, 0.75, 25)
    assert (points[3]["false_alerts"], points[3]["told"], points[3]["median_delay_min"]) == (3, 0, None)


def test_the_detector_that_is_told_everything_is_the_fastest_and_small_runs_say_what_they_cannot_tell() -> None:
    traffic = Traffic(series=1, learn_days=7, days=14)
    document = {"machine": {}, "synthetic": run_synthetic(traffic, ignored) | {"alerts": []}}
    curves = document["synthetic"]["curves"]
    told = {name: points[-1]["told"] for name, points in curves.items()}
    assert told["cusum_known"] == max(told.values()) > 0.5
    assert len(tables(document)) == 2
    assert any("0 months of series" in line for line in remarks(document))


def test_alerts_tell_every_run_on_a_bank_in_minutes_and_nothing_where_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topics, "CASES", ((1e-5, 20.0),))
    (outcome,) = topics.run(Traffic(series=3, learn_days=7, days=9), ignored)
    assert (outcome["told"], outcome["false_alerts"]) == (1.0, 0.0)
    assert 1 <= outcome["median_delay_min"] <= 10


def folder_of(tmp_path: Path) -> Path:
    seconds = 1_767_571_200 + 300 * np.arange(ROWS)
    values = np.random.default_rng(4).poisson(5.0, ROWS)
    values[1_500:1_510] = 80
    stamps = [datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S") for second in seconds]
    lines = [f"{stamp},{value}" for stamp, value in zip(stamps, values, strict=True)]
    (tmp_path / "counts_A.csv").write_text("timestamp,value\n" + "\n".join(lines) + "\n")
    (tmp_path / "windows.json").write_text(json.dumps({"A": [[stamps[1_500], stamps[1_519] + ".000000"]]}))
    return tmp_path


def test_a_whole_small_run_tells_what_is_promised(tmp_path: Path) -> None:
    document = run(Request(series=folder_of(tmp_path)), ignored)
    found = document["nab"]["detectors"]
    assert set(found) == {"newsquake", "windowed_gaussian", "z_score"}
    assert found["newsquake"]["score"] > 95
    assert msgspec.json.decode(msgspec.json.encode(document))["nab"]["rows"] == ROWS
    assert len(tables(document)) == 1
    assert any("met" in line for line in remarks(document))


def test_a_folder_without_labelled_series_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchUsage, match=r"windows\.json"):
        read_labelled(tmp_path)
    (tmp_path / "windows.json").write_text('{"A": [["2026-01-01", "2026-01-02"]]}')
    with pytest.raises(BenchUsage, match="no series"):
        read_labelled(tmp_path)
    (tmp_path / "A.csv").write_text("timestamp,value\n2025-01-01,1\n")
    with pytest.raises(BenchUsage, match="has no row"):
        read_labelled(tmp_path)


def test_generated_rollups_are_the_sums_of_their_parts() -> None:
    rollups = minute.generate(4, datetime(2026, 3, 11, 15, 30, tzinfo=UTC), 1.0, 2)
    place = {series: row for row, series in enumerate(rollups.series)}
    assert len(place) == 12
    assert (rollups.hour_n[place[Series(ALL, ALL)]] == rollups.hour_n[3:].reshape(3, 3, -1)[:, :2].sum((0, 1))).all()
    assert (rollups.n >= rollups.negative).all()
    assert rollups.hour_n.shape == (12, 49)


def test_a_minute_of_few_series_is_timed_and_told() -> None:
    document = run(Request(watched=10), ignored)
    assert document["evaluation"]["series"] == 12
    assert document["evaluation"]["full_hour"]["median_ms"] > 0
    assert len(tables(document)) == 1
