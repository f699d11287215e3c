"""The progress bar of a command."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from newsquake.commands.output import cell


class ProgressBar:
    """One bar on standard error, where that is a terminal; nothing elsewhere."""

    def __init__(self, what: str, total: float | None = None, *, shown: bool = True) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        self.shown = shown and console.is_terminal
        """Whether anybody sees it: what costs much need not be told otherwise."""
        self._bars = Progress(*columns, console=console, disable=not self.shown)
        self._task = self._bars.add_task(cell(what), total=total, note="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def reach(self, done: float, total: float | None = None) -> None:
        """Show how much is done, and of how much."""
        if self.shown:
            self._bars.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        """Show this beside the bar."""
        if self.shown:
            self._bars.update(self._task, note=cell(text))
