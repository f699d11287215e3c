"""What each technique of the recipe is worth: the student trained without it, or with one more, on the same rows.

Every variant sees the same random part of the recipe's rows for one epoch, so figures are lower than the shipped
checkpoint's; it is their differences that count. The teacher's labels come from OUT, where a build left them.

    python bench/training/ablation.py --data DIR --out OUT [--rows 16000] [--unseen FILE ...]
"""

import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from bench.machine import machine
from models.assess import assess
from models.build import Lesson, prepare
from models.losses import Targets
from models.model import GPT2Monitor
from models.recipe import load_recipe
from models.rows import Row, read_rows
from models.train import TrainSettings, train

Variant = Callable[[Lesson, TrainSettings], tuple[Lesson, TrainSettings]]


def _ungrafted(lesson: Lesson, settings: TrainSettings) -> tuple[Lesson, TrainSettings]:
    torch.manual_seed(settings.seed)
    return replace(lesson, model=GPT2Monitor(lesson.model.config)), settings


def _unsoftened(lesson: Lesson, settings: TrainSettings) -> tuple[Lesson, TrainSettings]:
    targets = lesson.targets
    return replace(lesson, targets=Targets(targets.sentiment, targets.topic, states=targets.states)), settings


def _unguided(lesson: Lesson, settings: TrainSettings) -> tuple[Lesson, TrainSettings]:
    return replace(lesson, targets=replace(lesson.targets, states=None)), settings


def _untaught(lesson: Lesson, settings: TrainSettings) -> tuple[Lesson, TrainSettings]:
    return replace(lesson, targets=Targets(lesson.targets.sentiment, lesson.targets.topic)), settings


def _with(**changed: float | str | bool) -> Variant:
    return lambda lesson, settings: (lesson, replace(settings, **changed))  # type: ignore[arg-type]


VARIANTS: dict[str, Variant] = {
    "the recipe": _with(),
    "no graft (random blocks)": _ungrafted,
    "no soft labels": _unsoftened,
    "no teacher states": _unguided,
    "no teacher at all": _untaught,
    "no noise": _with(noise=False),
    "no token dropout": _with(token_dropout=0.0),
    "no label smoothing": _with(smoothing=0.0),
    "balanced classes": _with(class_weights="balanced"),
    "one learning rate": _with(layer_decay=1.0),
    "+ R-Drop": _with(rdrop=1.0),
    "+ FGM": _with(fgm=1.0),
}


def main(
    data: Annotated[Path, typer.Option(help="Folder of the recipe's labelled files.")],
    out: Annotated[Path, typer.Option(help="Folder of a finished build.")],
    rows: Annotated[int, typer.Option(min=100, help="Rows of the one epoch.")] = 16_000,
    unseen: Annotated[list[Path] | None, typer.Option(help="More labelled files to measure on.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Variants to run, by name.")] = None,
) -> None:
    """Print a table of variants, and one JSON document at the end."""
    recipe = load_recipe("default")
    whole = prepare(recipe, data, out, resume=True)
    fresh = {name: value.clone() for name, value in whole.model.state_dict().items()}
    chosen = torch.tensor(random.Random(recipe.train.seed).sample(range(len(whole.rows)), min(rows, len(whole.rows))))
    part = replace(whole, rows=[whole.rows[at] for at in chosen.tolist()], targets=whole.targets.at(chosen))
    sets = {"test": whole.test} | {path.stem: read_rows([path]) for path in unseen or []}
    results = {}
    for name in only or VARIANTS:
        whole.model.load_state_dict(fresh)
        lesson, settings = VARIANTS[name](part, replace(recipe.train, epochs=1))
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            train(
                lesson.model, lesson.tokenizer, lesson.rows, whole.held_back[:400], settings, Path(scratch),
                targets=lesson.targets,
            )  # fmt: skip
        seconds = time.perf_counter() - started
        measured = {found: _figures(lesson, of, settings) for found, of in sets.items()}
        results[name] = measured | {"seconds": round(seconds)}
        typer.echo(f"{name:26s} {json.dumps(results[name])}")
    typer.echo(json.dumps({"rows": len(part.rows), "variants": results, "machine": machine()}))


def _figures(lesson: Lesson, rows: Sequence[Row], settings: TrainSettings) -> dict[str, float]:
    quality, _ = assess(lesson.model, lesson.tokenizer, rows, settings.max_tokens)
    return {
        f"{name}_{figure}": round(getattr(head, figure), 4)
        for head, name in ((quality.sentiment, "sentiment"), (quality.topic, "topic"))
        if head.n
        for figure in ("accuracy", "macro_f1")
    }


if __name__ == "__main__":
    typer.run(main)
