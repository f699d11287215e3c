"""A run's course on disk, read back by TensorBoard's own reader."""

import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.errors import SettingsError
from models.journal import TensorBoardJournal


def course(folder: Path, name: str) -> list[tuple[int, float]]:
    """Steps and values of one figure."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, round(event.value, 4)) for event in events.Scalars(name)]


def test_figures_are_read_back_by_step(tmp_path: Path) -> None:
    with TensorBoardJournal(tmp_path / "board") as journal:
        for step in range(3):
            journal(step, {"train/loss": 2.0 - step, "train/rate": 0.1})
    assert course(tmp_path / "board", "train/loss") == [(0, 2.0), (1, 1.0), (2, 0.0)]


def test_a_resumed_run_hides_the_steps_it_does_again(tmp_path: Path) -> None:
    with TensorBoardJournal(tmp_path) as journal:
        for step in range(5):
            journal(step, {"loss": 1.0})
    with TensorBoardJournal(tmp_path) as journal:
        for step in range(3, 6):
            journal(step, {"loss": 2.0})
    assert course(tmp_path, "loss") == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]


def test_nothing_is_written_where_nothing_was_trained(tmp_path: Path) -> None:
    with TensorBoardJournal(tmp_path / "board"):
        pass
    assert not list((tmp_path / "board").iterdir())


def test_a_missing_tensorboard_is_one_line_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match=r"pip install 'newsquake\[tensorboard\]'") as caught:
        TensorBoardJournal(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SettingsError, match="--tensorboard"):
        TensorBoardJournal(tmp_path / "taken")
