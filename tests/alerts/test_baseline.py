"""The baseline's arithmetic against plain loops over the hours."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from alerts.baseline import DayGrid, exposures, robust

_SATURDAY_NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize("days", [1, 6, 28])
def test_hours_are_put_under_their_hour_of_working_days_or_weekends(days: int) -> None:
    values = np.random.default_rng(1).poisson(5, (3, 24 * days)).astype(np.float32)
    plain = np.zeros((3, 2, 24))
    for column in range(24 * days):
        start = _SATURDAY_NOON - timedelta(days=days) + timedelta(hours=column)
        plain[:, int(start.weekday() >= 5), column % 24] += values[:, column]

    grid = DayGrid(_SATURDAY_NOON, days)

    assert grid.cells(values).reshape(3, 2, 24).tolist() == plain.tolist()
    weekend = plain[:, 1] + 0.25 * plain[:, 0]
    assert grid.here(values) == pytest.approx(weekend[:, 0] + weekend[:, 1] + weekend[:, 23])


def test_what_outbreaks_are_worth_less_is_taken_off_the_expected_counts_whole() -> None:
    chance = np.random.default_rng(2)
    counts = chance.poisson(8, (5, 24 * 28)).astype(np.float32)
    counts[:, 300:340] += 3_000
    weight = chance.random(counts.shape).astype(np.float32)
    weight[1, 100:200] = 0
    grid = DayGrid(_SATURDAY_NOON, 28)
    profile, exposure = exposures(grid, counts.sum(axis=0), weight[0])

    fitted, kept, hours = robust(grid, counts, weight, grid.cells(weight * exposure), profile, exposure)

    assert hours == pytest.approx(grid.cells(kept * exposure), rel=1e-3)
    assert fitted == pytest.approx(grid.smooth(grid.cells(kept * counts), hours, profile), rel=1e-3)
    assert (kept[:, 300:340] < 0.05 * weight[:, 300:340] + 1e-6).all()
    assert ((kept > 0) == (weight > 0)).all()
    assert fitted.max() < 30
