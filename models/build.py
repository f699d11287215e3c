"""Build the shipped checkpoint by its recipe: tuned teachers, and a student grown out of the first that they teach.

Everything is written below the output folder: `train.jsonl` with the rows that were learnt from and in `test/`, a file
for each source, those that no step saw; `teacher.safetensors`, `english_teacher.safetensors` and `taught.safetensors`
with the tuned teachers and what they said (reused by a resumed build); and in `checkpoint/` the classifier.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from models.batches import encode
from models.distil import Watcher, distilled_targets, fine_tune_teacher, teach
from models.graft import graft
from models.labels import SENTIMENTS, TOPICS
from models.losses import Targets
from models.model import GPT2Monitor, MonitorConfig
from models.recipe import Recipe, RecipeRows, TeacherSettings, gather_rows
from models.rows import MISSING, Row
from models.state import state_folder
from models.teacher import Teacher, load_english_teacher, load_teacher
from models.texts import is_han
from models.tokens import build_tokenizer
from models.train import TrainReport, train
from models.train import Watcher as StepWatcher
from models.vocabulary import pruned_tokenizer

_TEACHER = "teacher.safetensors"
_ENGLISH_TEACHER = "english_teacher.safetensors"


def build(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    watch_teacher: Watcher | None = None,
    watch_student: StepWatcher | None = None,
) -> TrainReport:
    """Run the recipe over the labelled files below `data`.

    Raises:
        ModelError: the teacher is not installed, a file is missing or wrong, or training failed.
    """
    lesson = prepare(recipe, data, out, resume=resume, watch=watch_teacher)
    return train(
        lesson.model,
        lesson.tokenizer,
        lesson.rows,
        lesson.held_back,
        recipe.train,
        out / "checkpoint",
        targets=lesson.targets,
        resume=resume and state_folder(out / "checkpoint").exists(),
        watch=watch_student,
    )


@dataclass(frozen=True, slots=True)
class Lesson:
    """All that the student's training needs: itself, as grown out of the teacher, and rows with what they teach."""

    model: GPT2Monitor
    tokenizer: PreTrainedTokenizerFast
    rows: list[Row]
    """The rows of one epoch; one that the recipe repeats is in it several times."""
    targets: Targets
    held_back: list[Row]
    test: list[Row]


def prepare(recipe: Recipe, data: Path, out: Path, *, resume: bool = False, watch: Watcher | None = None) -> Lesson:
    """Tune the teachers, let them label the rows, and grow the student: all of a build before the student's training.

    Raises:
        ModelError: the teacher is not installed, or a file is missing or wrong.
    """
    rows = gather_rows(recipe, data)
    out.mkdir(parents=True, exist_ok=True)
    write_rows(out / "train.jsonl", rows.train)
    (out / "test").mkdir(exist_ok=True)
    for name, part in rows.test.items():
        write_rows(out / "test" / f"{name}.jsonl", part)
    taught = _taught(recipe, rows, out, resume, watch or _silent)
    model, tokenizer = new_student(recipe, [row.text for row in rows.train])
    order = [at for at, count in enumerate(rows.repeats) for _ in range(count)]
    view = distilled_targets(rows.train, (taught["sentiment"], taught["topic"], taught["states"]))
    repeated = [rows.train[at] for at in order]
    test = [row for part in rows.test.values() for row in part]
    return Lesson(model, tokenizer, repeated, view.at(torch.tensor(order)), rows.held_back, test)


def new_student(recipe: Recipe, texts: Sequence[str]) -> tuple[GPT2Monitor, PreTrainedTokenizerFast]:
    """Return the student as it comes out of the untuned teacher, and its tokenizer."""
    torch.manual_seed(recipe.train.seed)
    teacher = load_teacher()
    tokenizer, kept = pruned_tokenizer(teacher.tokenizer, texts, recipe.student.vocabulary)
    probe = random.Random(recipe.train.seed).sample(list(texts), min(recipe.student.probe, len(texts)))
    ids = encode(tokenizer, probe, recipe.student.positions)
    return graft(teacher, kept, recipe.student.layers, recipe.student.positions, ids), tokenizer


def scratch(rows: Sequence[Row], seed: int) -> tuple[GPT2Monitor, PreTrainedTokenizerFast]:
    """Return an untrained small GPT-2 classifier, with a tokenizer learnt from the rows."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(20_000, [row.text for row in rows])
    end = tokenizer.eos_token_id
    config = MonitorConfig(
        vocab_size=len(tokenizer),
        n_layer=4,
        n_embd=384,
        n_head=6,
        n_positions=256,
        activation_function="gelu",
        resid_pdrop=0.0,  # dropout before the heads only: rows bring the noise
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=end,
        eos_token_id=end,
    )
    return GPT2Monitor(config), tokenizer


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSONL that `newsquake model evaluate` reads."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            record = {"text": row.text, "lang": row.lang}
            if row.sentiment != MISSING:
                record["sentiment"] = SENTIMENTS[row.sentiment]
            if row.topic != MISSING:
                record["topic"] = TOPICS[row.topic]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _taught(recipe: Recipe, rows: RecipeRows, out: Path, resume: bool, watch: Watcher) -> dict[str, Tensor]:
    """Return both heads' soft labels and the first teacher's states of every row; kept in `taught.safetensors`."""
    path = out / "taught.safetensors"
    texts = [row.text for row in rows.train]
    digest = hashlib.blake2b("\n".join([repr(recipe.english), *texts]).encode("utf-8", "replace"), digest_size=8)
    if resume and path.exists():
        taught: dict[str, Tensor] = load_file(path)
        if bytes(taught["rows"].tolist()) == digest.digest():
            return taught
    every = range(len(texts))
    teacher = _tuned(load_teacher(), recipe.teacher, rows, every, recipe.train.seed, out / _TEACHER, resume, watch)
    sentiment, topic, states = teach(teacher, texts, watch)
    if recipe.english is not None:
        english = [at for at in every if not any(map(is_han, texts[at]))]
        second = load_english_teacher()
        _tuned(second, recipe.english, rows, english, recipe.train.seed, out / _ENGLISH_TEACHER, resume, watch)
        other_sentiment, other_topic, _ = teach(second, [texts[at] for at in english], watch)
        sentiment[english] = (sentiment[english] + other_sentiment) / 2
        topic[english] = (topic[english] + other_topic) / 2
    rows_digest = torch.tensor(list(digest.digest()), dtype=torch.uint8)
    taught = {"rows": rows_digest, "sentiment": sentiment, "topic": topic, "states": states}
    save_file(taught, path)
    return taught


def _tuned(
    teacher: Teacher,
    settings: TeacherSettings,
    rows: RecipeRows,
    among: Sequence[int],
    seed: int,
    path: Path,
    resume: bool,
    watch: Watcher,
) -> Teacher:
    """Fine-tune a teacher on those rows `among` the training rows that are for teachers, or read it from `path`."""
    if resume and path.exists():
        teacher.load_state_dict(load_file(path), strict=False)
        return teacher
    fine_tune_teacher(teacher, [rows.train[at] for at in among if rows.taught[at]], settings, seed, watch)
    save_file({name: value.detach() for name, value in teacher.named_parameters() if value.requires_grad}, path)
    return teacher


def _silent(_what: str, _done: int, _steps: int) -> None:
    pass
