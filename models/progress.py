"""The progress bar of a training run."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """One bar a stage or epoch; shown on a terminal only."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console, disable=console.quiet or not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, done: int, steps: int) -> None:
        """Show how far a named stage is."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=steps)
        self._bars.update(self._tasks[name], completed=done, total=steps)

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Show how far an epoch is, with its mean loss so far."""
        name = f"epoch {epoch}"
        self.stage(name, step, steps)
        self._bars.update(self._tasks[name], description=f"{name}  loss {loss:.3f}")
