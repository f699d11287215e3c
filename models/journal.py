"""A training run's course as TensorBoard reads it."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from models.errors import SettingsError


class TensorBoardJournal:
    """Writes named figures below a folder; use as a context, and call it with a step and its figures.

    A resumed run writes beside what it left there, and hides the steps that it does again.
    """

    def __init__(self, folder: Path) -> None:
        """Check that TensorBoard is there, before anything is trained.

        Raises:
            SettingsError: it is not installed, or the folder cannot be made.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SettingsError("--tensorboard needs TensorBoard: pip install 'newsquake[tensorboard]'") from error
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"--tensorboard {folder}: {error.strerror or error}") from error
        self._kind = SummaryWriter
        self._folder = folder
        self._writer: Any = None

    def __call__(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures of a step."""
        if self._writer is None:
            self._writer = self._kind(str(self._folder), purge_step=step)
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
