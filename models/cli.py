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
from rich.markup import escape
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
        str, typer.Option(help="What to start from: shipped, scratch, gpt2 or another hub name, or a folder.")
    ] = "shipped",
    method: Annotated[
        str,
        typer.Option(
            help="Weights to train besides the heads: full; lora or adalora (low-rank updates, by peft); adapter "
            "(a bottleneck beside each MLP). All are folded into an ordinary checkpoint."
        ),
    ] = "full",
    rank: Annotated[
        int | None, typer.Option(min=1, help="Rank of low-rank updates (8), width of adapters (64).")
    ] = None,
    topics: Annotated[
        str,
        typer.Option(help="base: the base's topics, the twenty for a bare GPT-2; twenty; own: those in the files."),
    ] = "base",
    epochs: Annotated[int | None, typer.Option(min=1, help="Times that every row is seen, at most.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Texts in one forward pass.")] = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="Forward passes that make one step.")] = None,
    lr: Annotated[
        float | None, typer.Option(min=0.0, help="Highest learning rate: 3e-4 for full, 1e-3 for the others.")
    ] = None,
    layer_decay: Annotated[
        float | None, typer.Option(help="Rate of a block over that of the one above, such as 0.9; 1 for one rate.")
    ] = None,
    clip: Annotated[float | None, typer.Option(help="Longest gradient of a step.")] = None,
    class_weights: Annotated[
        str | None, typer.Option(help="balanced: rare classes weigh more; none: every row weighs the same.")
    ] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="Epochs without a better one before stopping.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=8, help="Tokens of a text that are read.")] = None,
    rdrop: Annotated[
        float | None, typer.Option(min=0.0, help="R-Drop: weight of two dropout passes' disagreement; 0 for none.")
    ] = None,
    fgm: Annotated[
        float | None, typer.Option(min=0.0, help="Adversarial step on the embeddings, in their deviations; 0 for none.")
    ] = None,
    continue_pretraining: Annotated[
        Path | None, typer.Option(help="First train the trunk on these texts: one a line, or JSONL with `text`.")
    ] = None,
    pretraining_epochs: Annotated[int, typer.Option(min=1)] = 1,
    pretraining_lr: Annotated[float, typer.Option(min=0.0)] = 1e-4,
    held_back: Annotated[int, typer.Option(min=1, max=50, help="Percent of the contents held back.")] = 10,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    device: Device = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder to write the course to, for TensorBoard.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Rebuild by a recipe (`default` or a .toml) instead.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the recipe's labelled files.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole epoch in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a checkpoint in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a classifier on labelled files, or rebuild one by its recipe."""
    given = {
        "epochs": epochs, "batch_size": batch_size, "accumulate": accumulate, "lr": lr, "layer_decay": layer_decay,
        "clip": clip, "class_weights": class_weights, "patience": patience, "max_tokens": max_tokens, "rdrop": rdrop,
        "fgm": fgm, "seed": seed, "device": device, "rank": rank, "method": method if files else None,
    }  # fmt: skip
    with reported():
        if bool(files) == bool(recipe):
            raise DataError("name labelled files to train on, or a --recipe with --data")
        if not (resume or overwrite) and any(out.glob("**/model.safetensors")):
            raise DataError(f"{out} already holds a checkpoint: choose another --out, or --resume or --overwrite")
        if recipe:
            if continue_pretraining or tensorboard or (base, method, topics) != ("shipped", "full", "base"):
                raise DataError("--base, --method, --topics, --tensorboard and --continue-pretraining go with files")
            report = _rebuild(recipe, data, out, resume, given, as_json)
        else:
            before = {"epochs": pretraining_epochs, "lr": pretraining_lr}
            places: dict[str, Any] = {
                "base": base,
                "topics": topics,
                "corpus": continue_pretraining,
                "tensorboard": tensorboard,
            }
            places |= {"files": files, "out": out, "held_back": held_back, "resume": resume}
            report = _fine_tune(places, given, before, as_json)
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
            if isinstance(value, dict):
                value = [f"{key} ({text})" for key, text in value.items()]
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            made.add_row(name.replace("_", " "), escape(shown))
        Console().print(made)


model.command()(evaluate)
model.command()(agreement)
model.command()(duplicates)


def _fine_tune(places: dict[str, Any], given: dict[str, Any], before: dict[str, Any], quiet: bool) -> "TrainReport":
    from models.finetune import FineTuning, fine_tune
    from models.hyperparameters import TrainSettings, usual_rate
    from models.recipe import overridden

    settings = overridden(TrainSettings(lr=usual_rate(given["method"])), **given)
    same = {name: getattr(settings, name) for name in ("clip", "seed", "device")}
    pretraining = TrainSettings(max_tokens=256, batch_size=min(settings.batch_size, 8), **same, **before)
    with _progress(quiet) as watch:
        return fine_tune(FineTuning(settings=settings, pretraining=pretraining, **places), watch.stage, watch.step)


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
    if report.pretraining:
        figures = report.pretraining
        typer.echo(
            f"pretraining: {figures.tokens:,} tokens, perplexity {figures.perplexity_before:,.1f} before, "
            f"{figures.perplexity_after:,.1f} after on {figures.held_back_tokens:,} held-back tokens"
        )
    made = table(f"Held-back rows, best epoch {report.best_epoch}", "epoch", "head", *FIGURES)
    for epoch in report.epochs:
        name = f"{epoch.number}{' *' if epoch.number == report.best_epoch else ''}"
        for cells in head_cells(epoch.figures):
            made.add_row(name, *cells)
    for cells in head_cells(report.figures):
        made.add_row("calibrated", *cells)
    show(made)
    typer.echo(f"checkpoint: {report.out}")
