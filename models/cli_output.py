"""What the commands of `newsquake model` share: options, how failures end, and tables of figures."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from models.errors import ModelError, TrainingError

if TYPE_CHECKING:
    from models.quality import HeadQuality
    from models.settings import ModelsSettings

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Files = Annotated[list[Path], typer.Argument(help="JSONL or CSV files: text, sentiment?, topic?, lang?")]
Checkpoint = Annotated[str | None, typer.Option(help="Folder or hub name; the configured checkpoint if not given.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda[:N].")]

_WITHOUT_TERMINAL = 140


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn a known failure into one line on stderr and its exit code."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        field = "NEWSQUAKE_MODELS_" + ".".join(str(part) for part in first["loc"]).upper()
        typer.echo(f"error: {field}: {first['msg']} (found {first['input']!r})", err=True)
        raise typer.Exit(2) from error
    except ModelError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1 if isinstance(error, TrainingError) else 2) from error


def settings_for(checkpoint: str | None, device: str | None) -> "ModelsSettings":
    """Return the settings from the environment, with what the options say in their place."""
    from models.settings import ModelsSettings

    given = {"checkpoint": checkpoint, "device": device}
    return ModelsSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def table(title: str, *columns: str) -> Table:
    """Return a table whose columns named with a leading `>` are right-aligned."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    return made


def show(made: Table) -> None:
    """Print a table on stdout, at a readable width where there is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WITHOUT_TERMINAL)
    console.print(made)


def figure(value: float | None, places: int = 3) -> str:
    """Return a figure for a cell; a dash where there is none."""
    return "–" if value is None else f"{value:.{places}f}"


FIGURES = (">n", ">accuracy", ">macro F1", ">weighted F1", ">ECE")
"""Columns of `head_cells` after the head's name."""


def head_cells(figures: "HeadQuality") -> Iterator[tuple[str, ...]]:
    """Yield for each head that has rows its name and the cells of `FIGURES`."""
    for head, quality in (("sentiment", figures.sentiment), ("topic", figures.topic)):
        if quality.n:
            values = (quality.accuracy, quality.macro_f1, quality.weighted_f1, quality.ece)
            yield head, str(quality.n), *(figure(value) for value in values)
