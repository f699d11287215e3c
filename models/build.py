"""Build the shipped checkpoint from nothing by its recipe: tokenizer, teacher, student.

Everything is written below the output folder: `train.jsonl` and `test.jsonl` with the rows that were learnt from and
those that no step saw, `teacher.safetensors` and `taught.safetensors` with the tuned teacher and what it said (reused
by a resumed build), and in `checkpoint/` the classifier.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from models.distil import Watcher, adopt_embeddings, distilled_targets, fine_tune_teacher, teach, token_states
from models.labels import SENTIMENTS, TOPICS
from models.model import GPT2Monitor, MonitorConfig
from models.recipe import Recipe, RecipeRows, StudentSettings, gather_rows, load_recipe
from models.rows import MISSING, Row
from models.state import state_folder
from models.teacher import Teacher, load_teacher
from models.tokens import build_tokenizer
from models.train import TrainReport, train
from models.train import Watcher as StepWatcher


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
    rows = gather_rows(recipe, data)
    out.mkdir(parents=True, exist_ok=True)
    write_rows(out / "train.jsonl", rows.train)
    write_rows(out / "test.jsonl", rows.test)
    tokenizer = build_tokenizer(recipe.student.vocabulary, [row.text for row in rows.train])
    torch.manual_seed(recipe.train.seed)
    model = new_student(recipe.student, tokenizer)
    taught = _taught(recipe, rows, tokenizer, out, resume, watch_teacher or _silent)
    adopt_embeddings(model, taught["tokens"], taught["token_states"])
    order = [at for at, count in enumerate(rows.repeats) for _ in range(count)]
    view = distilled_targets(rows.train, (taught["sentiment"], taught["topic"], taught["states"]))
    return train(
        model,
        tokenizer,
        [rows.train[at] for at in order],
        rows.held_back,
        recipe.train,
        out / "checkpoint",
        targets=view.at(torch.tensor(order)),
        resume=resume and state_folder(out / "checkpoint").exists(),
        watch=watch_student,
    )


def scratch(rows: Sequence[Row], seed: int) -> tuple[GPT2Monitor, PreTrainedTokenizerFast]:
    """Return an untrained classifier of the shipped shape, with a tokenizer learnt from the rows."""
    student = load_recipe("default").student
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(student.vocabulary, [row.text for row in rows])
    return new_student(student, tokenizer), tokenizer


def new_student(student: StudentSettings, tokenizer: PreTrainedTokenizerFast) -> GPT2Monitor:
    """Return a random classifier of the recipe's shape, with dropout before the heads only: rows bring the noise."""
    end = tokenizer.eos_token_id
    return GPT2Monitor(
        MonitorConfig(
            vocab_size=len(tokenizer),
            n_layer=student.layers,
            n_embd=student.width,
            n_head=student.heads,
            n_positions=student.positions,
            activation_function="gelu",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=end,
            eos_token_id=end,
        )
    )


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


def _taught(
    recipe: Recipe,
    rows: RecipeRows,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    resume: bool,
    watch: Watcher,
) -> dict[str, Tensor]:
    path = out / "taught.safetensors"
    digest = hashlib.blake2b("\n".join(row.text for row in rows.train).encode("utf-8", "replace"), digest_size=8)
    if resume and path.exists():
        taught: dict[str, Tensor] = load_file(path)
        if bytes(taught["rows"].tolist()) == digest.digest():
            return taught
    teacher = _tuned_teacher(recipe, rows, out, resume, watch)
    sentiment, topic, states = teach(teacher, [row.text for row in rows.train], watch)
    tokens, token_vectors = token_states(tokenizer, teacher, watch)
    taught = {
        "rows": torch.tensor(list(digest.digest()), dtype=torch.uint8),
        "sentiment": sentiment,
        "topic": topic,
        "states": states,
        "tokens": tokens,
        "token_states": token_vectors,
    }
    save_file(taught, path)
    return taught


def _tuned_teacher(recipe: Recipe, rows: RecipeRows, out: Path, resume: bool, watch: Watcher) -> Teacher:
    path = out / "teacher.safetensors"
    teacher = load_teacher()
    if resume and path.exists():
        teacher.load_state_dict(load_file(path), strict=False)
        return teacher
    seen = [row for row, shown in zip(rows.train, rows.taught, strict=True) if shown]
    fine_tune_teacher(teacher, seen, recipe.teacher, recipe.train.seed, watch)
    save_file({name: value.detach() for name, value in teacher.named_parameters() if value.requires_grad}, path)
    return teacher


def _silent(_what: str, _done: int, _steps: int) -> None:
    pass
