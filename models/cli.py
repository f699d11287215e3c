"""`newsquake model`: train, evaluate and describe classifiers, and look after labelled rows.

Torch and transformers are imported inside the commands, so that `--help` answers at once. Exit codes: 0 fine, 1 the
work failed, 2 wrong usage, settings or input; every failure is one line on stderr.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.cli_evaluate import evaluate
from models.cli_output import FIGURES, AsJson, Checkpoint, Device, head_cells, reported, settings_for, show, table
from models.cli_rows import agreement, duplicates
from models.errors import DataError

if TYPE_CHECKING:
    from models.train import TrainReport

model = typer.Typer(help="Train, evaluate and describe classifiers; check labelled rows.", no_args_is_help=True)


@model.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder for the new checkpoint.")],
    files: Annotated[list[Path] | None, typer.Argument(help="JSONL or CSV: text, sentiment?, topic?, lang?")] = None,
    base: Annotated[
        str, typer.Option(help="What to start from: shipped, scratch, a folder or a hub name.")
    ] = "shipped",
    recipe: Annotated[str | None, typer.Option(help="Rebuild by a recipe (`default` or a .toml) instead.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the recipe's labelled files.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    lr: Annotated[float | None, typer.Option(min=0.0)] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="Epochs without a better one before stopping.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=8)] = None,
    held_back: Annotated[int, typer.Option(min=1, max=50, help="Percent of the contents held back.")] = 10,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    device: Device = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole epoch in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a checkpoint in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a classifier on labelled files, or rebuild one by its recipe."""
    given = {
        "epochs": epochs, "batch_size": batch_size, "lr": lr, "patience": patience,
        "max_tokens": max_tokens, "seed": seed, "device": device,
    }  # fmt: skip
    with reported():
        if bool(files) == bool(recipe):
            raise DataError("name labelled files to train on, or a --recipe with --data")
        if not (resume or overwrite) and any(out.glob("**/model.safetensors")):
            raise DataError(f"{out} already holds a checkpoint: choose another --out, or --resume or --overwrite")
        if recipe:
            report = _rebuild(recipe, data, out, resume, given, as_json)
        else:
            report = _fine_tune(files or [], base, out, held_back, resume, given, as_json)
        _show_training(report, as_json)


@model.command()
def info(checkpoint: Checkpoint = None, as_json: AsJson = False) -> None:
    """Describe a checkpoint: identity, shape, size, calibration, and how this machine would run it."""
    with reported():
        from models.describe import describe

        facts = describe(settings_for(checkpoint, None))
        if as_json:
            typer.echo(json.dumps(facts, ensure_ascii=False))
            return
        made = Table(show_header=False, box=None)
        for name, value in facts.items():
            made.add_row(name.replace("_", " "), ", ".join(value) if isinstance(value, list) else str(value))
        Console().print(made)


model.command()(evaluate)
model.command()(agreement)
model.command()(duplicates)


def _fine_tune(
    files: list[Path], base: str, out: Path, held_back: int, resume: bool, given: dict[str, Any], quiet: bool
) -> "TrainReport":
    from models.build import scratch
    from models.model import load_base
    from models.recipe import overridden
    from models.rows import read_rows, split_rows
    from models.settings import SHIPPED_CHECKPOINT
    from models.train import TrainSettings
    from models.train import train as run

    settings = overridden(TrainSettings(), **given)
    rows, held = split_rows(read_rows(files), held_back)
    if base == "scratch":
        start, tokenizer = scratch(rows, settings.seed)
    else:
        start, tokenizer = load_base(str(SHIPPED_CHECKPOINT) if base == "shipped" else base)
    with _progress(quiet) as watch:
        return run(start, tokenizer, rows, held, settings, out, resume=resume, watch=watch.step)


def _rebuild(
    recipe: str, data: Path | None, out: Path, resume: bool, given: dict[str, Any], quiet: bool
) -> "TrainReport":
    from dataclasses import replace

    from models.build import build
    from models.recipe import load_recipe, overridden

    if data is None:
        raise DataError("--recipe needs --data: the folder of its labelled files")
    loaded = load_recipe(recipe)
    loaded = replace(loaded, train=overridden(loaded.train, **given))
    with _progress(quiet) as watch:
        return build(loaded, data, out, resume=resume, watch_teacher=watch.stage, watch_student=watch.step)


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Any]:
    from models.progress import TrainingProgress

    with TrainingProgress(Console(stderr=True, quiet=quiet)) as progress:
        yield progress


def _show_training(report: "TrainReport", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
        return
    made = table(f"Held-back rows, best epoch {report.best_epoch}", "epoch", "head", *FIGURES)
    for epoch in report.epochs:
        name = f"{epoch.number}{' *' if epoch.number == report.best_epoch else ''}"
        for cells in head_cells(epoch.figures):
            made.add_row(name, *cells)
    for cells in head_cells(report.figures):
        made.add_row("calibrated", *cells)
    show(made)
    typer.echo(f"checkpoint: {report.out}")
