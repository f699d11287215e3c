"""Recipes: committed descriptions from which `newsquake model train --recipe NAME` rebuilds a shipped checkpoint."""

import gzip
import json
import random
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from models.batches import cropped
from models.errors import DataError
from models.patterns import fill_patterns
from models.rows import Row, content_bucket, read_rows
from models.train import TrainSettings

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class StudentSettings:
    """What the classifier takes over from its teacher."""

    vocabulary: int
    """Pieces of the teacher's vocabulary that are kept."""
    layers: tuple[int, ...]
    """The teacher's layers that become the student's blocks, counted from 0."""
    positions: int
    probe: int = 256
    """Training texts on which the graft is fitted."""


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """How the teacher is fine-tuned before it teaches."""

    epochs: int
    batch_size: int
    lr: float
    head_lr: float
    layer_decay: float
    """Each layer learns this much slower than the one above it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One labelled file and how often its rows are shown in an epoch."""

    path: str
    repeat: int = 1
    teacher: bool = True
    """Whether the teacher is fine-tuned on it too."""
    fill: int = 0
    """For a file of sentence patterns: rows made of each; they are only trained on, never held back."""
    crops: int = 0
    """Random spans of each training row that the student sees with the teacher's labels alone."""
    sample: int = 0
    """For a file of unlabelled texts: how many are drawn, for the student alone, with the teacher's labels."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a rebuild depends on, besides the labelled files themselves."""

    sources: tuple[Source, ...]
    test: int
    held_back: int
    student: StudentSettings
    teacher: TeacherSettings
    train: TrainSettings
    english: TeacherSettings | None = None
    """A second teacher, of rows without a Chinese character; what the two say is averaged (Hinton et al. 2015)."""


@dataclass(frozen=True, slots=True)
class RecipeRows:
    """The rows of a recipe, split by content; `repeats` and `taught` go with the training rows."""

    train: list[Row]
    repeats: list[int]
    taught: list[bool]
    held_back: list[Row]
    test: dict[str, list[Row]]
    """By the name of the file that they come from."""


def load_recipe(name: str) -> Recipe:
    """Load a recipe that comes with the package, or any `.toml` file.

    Raises:
        DataError: there is no such recipe, or a field of it is wrong.
    """
    path = Path(name) if name.endswith(".toml") else _PACKAGE / "recipes" / f"{name}.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        return Recipe(
            sources=tuple(Source(**source) for source in raw["data"]["files"]),
            test=int(raw["data"]["test"]),
            held_back=int(raw["data"]["held_back"]),
            student=StudentSettings(**raw["student"] | {"layers": tuple(raw["student"]["layers"])}),
            teacher=TeacherSettings(**raw["teacher"]),
            train=TrainSettings(**raw["train"]),
            english=TeacherSettings(**raw["english_teacher"]) if "english_teacher" in raw else None,
        )
    except OSError as error:
        raise DataError(f"no recipe {name!r}: use `default` or name a .toml file") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"recipe {path}: {error}") from error


def gather_rows(recipe: Recipe, data: Path) -> RecipeRows:
    """Read the recipe's files, `corpus/` ones from the package and the others below `data`, and split them by content.

    Raises:
        DataError: a file is missing or a row in it is wrong.
    """
    gathered = RecipeRows([], [], [], [], {})
    rng = random.Random(recipe.train.seed)
    for source in recipe.sources:
        path = (_PACKAGE if source.path.startswith("corpus/") else data) / source.path
        for row in _source_rows(path, source, recipe.train.seed):
            bucket = 100 if source.fill or source.sample else content_bucket(row.text)
            if bucket < recipe.test:
                gathered.test.setdefault(path.stem, []).append(row)
            elif bucket < recipe.test + recipe.held_back:
                gathered.held_back.append(row)
            else:
                crops = [Row(cropped(row.text, rng), lang=row.lang) for _ in range(source.crops)]
                gathered.train.extend([row, *crops])
                gathered.repeats.extend([source.repeat, *(1 for _ in crops)])
                gathered.taught.extend([source.teacher and not source.sample, *(False for _ in crops)])
    return gathered


def _source_rows(path: Path, source: Source, seed: int) -> list[Row]:
    if source.fill:
        return fill_patterns(path, source.fill, seed)
    if source.sample:
        texts = sorted(set(_texts(path)))
        return [Row(text) for text in random.Random(seed).sample(texts, min(source.sample, len(texts)))]
    return read_rows([path])


def _texts(path: Path) -> list[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line)["text"] for line in lines]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not gzipped JSONL with `text` ({error})") from error


def overridden(settings: TrainSettings, **given: Any) -> TrainSettings:
    """Return the settings with every given value that is not None."""
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return TrainSettings(**known | {name: value for name, value in given.items() if value is not None})
