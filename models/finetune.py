"""Fine-tune a base on labelled files, as `newsquake model train` asks for it.

    files ─► topics, rows ─► base with heads for the topics ─► pretraining, if asked ─► training ─► checkpoint

Whatever can be wrong with files, labels, topics or folders is said before the first step of anything.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from models.base import adopt_topics, base_topics, load_base
from models.build import scratch
from models.epoch import Recorder, Watcher
from models.errors import CheckpointError, DataError, SettingsError, TrainingError
from models.hyperparameters import TrainSettings
from models.journal import TensorBoardJournal
from models.labels import TOPICS
from models.model import GPT2Monitor
from models.pretrain import PretrainReport, pretrain
from models.rows import Row, read_rows, read_texts, split_rows, topics_in
from models.settings import SHIPPED_CHECKPOINT
from models.state import state_folder
from models.train import TrainReport, require_labels, train

TOPIC_CHOICES = ("base", "twenty", "own")
"""Whose topics a classifier learns: those of its base (the twenty for a bare GPT-2), the twenty, the files' own."""

_PRETRAINED = "pretrained.safetensors"
_Stage = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class FineTuning:
    """What to fine-tune, on what, and how."""

    files: Sequence[Path]
    out: Path
    base: str = "shipped"
    """`shipped`, `scratch`, a folder or a hub name."""
    settings: TrainSettings = field(default_factory=TrainSettings)
    held_back: int = 10
    """Percent of the contents that no step sees."""
    topics: str = "base"
    """One of `TOPIC_CHOICES`."""
    resume: bool = False
    corpus: Path | None = None
    """Texts to continue the base's pretraining on, first."""
    pretraining: TrainSettings = field(default_factory=lambda: TrainSettings(epochs=1, lr=1e-4, max_tokens=256))
    tensorboard: Path | None = None


def fine_tune(asked: FineTuning, watch_stage: _Stage, watch_step: Watcher) -> TrainReport:
    """Do what is asked; the checkpoint is in `asked.out` afterwards.

    Raises:
        DataError: a file, a row, a topic or the choice of topics is wrong.
        CheckpointError: the base cannot be used, or the output folder cannot be written.
        TrainingError: training failed, or there is nothing to resume.
    """
    base = str(SHIPPED_CHECKPOINT) if asked.base == "shipped" else asked.base
    topics = _topics(asked, base)
    rows, held = split_rows(read_rows(asked.files, topics), asked.held_back)
    require_labels(rows, held, topics)
    texts = read_texts(asked.corpus) if asked.corpus else []
    _require_writable(asked.out)
    with contextlib.ExitStack() as journals:
        record, record_before = _recorders(asked.tensorboard, journals)
        model, tokenizer = _start(asked, base, [*rows, *(Row(text) for text in texts)])
        adopt_topics(model, topics)
        resumable = state_folder(asked.out).exists()
        report = None
        if texts:
            again = asked.resume and resumable
            report = _pretrained(asked, model, tokenizer, texts, watch_stage, record_before, again)
        trained = train(
            model, tokenizer, rows, held, asked.settings, asked.out,
            resume=asked.resume and (resumable or not texts), watch=watch_step, record=record,
        )  # fmt: skip
    (asked.out / _PRETRAINED).unlink(missing_ok=True)
    return replace(trained, pretraining=report)


def _topics(asked: FineTuning, base: str) -> tuple[str, ...]:
    if asked.topics not in TOPIC_CHOICES:
        raise SettingsError(f"topics {asked.topics!r} is unknown: use one of {', '.join(TOPIC_CHOICES)}")
    known = TOPICS if asked.topics == "twenty" or base == "scratch" else base_topics(base)
    if asked.topics != "own":
        return known
    found = topics_in(asked.files)
    if len(found) < 2:
        raise DataError(f"the files name {len(found)} topics: a classifier of your own needs two or more")
    same = {name.casefold() for name in found} == {name.casefold() for name in known}
    return known if same else found


def _start(asked: FineTuning, base: str, rows: Sequence[Row]) -> tuple[GPT2Monitor, PreTrainedTokenizerFast]:
    torch.manual_seed(asked.settings.seed)
    return scratch(rows, asked.settings.seed) if base == "scratch" else load_base(base)


def _pretrained(
    asked: FineTuning,
    model: GPT2Monitor,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    watch: _Stage,
    record: Recorder,
    only_kept: bool,
) -> PretrainReport | None:
    """Pretrain the model, or on `--resume` take what an interrupted run had pretrained on the same texts.

    With `only_kept` nothing is pretrained anew: later weights of the run are there already.
    """
    path = asked.out / _PRETRAINED
    fingerprint = hashlib.blake2b(repr((asked.base, asked.pretraining, texts)).encode(), digest_size=8).hexdigest()
    kept = _load_pretrained(path, model, fingerprint) if asked.resume else None
    if kept or only_kept:
        return kept
    report = pretrain(model, tokenizer, texts, asked.pretraining, watch, record)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, path.with_suffix(".partial"), {"fingerprint": fingerprint} | report.exact())
    os.replace(path.with_suffix(".partial"), path)
    return report


def _load_pretrained(path: Path, model: GPT2Monitor, fingerprint: str) -> PretrainReport | None:
    try:
        with safe_open(path, "pt") as file:
            kept: dict[str, Any] = file.metadata()
            if kept.pop("fingerprint") != fingerprint:
                raise TrainingError(f"{path} is of another base, text or setting: use the same, or omit --resume")
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise TrainingError(f"{path} is damaged: delete it and train without --resume") from error
    return PretrainReport.of(kept)


def _recorders(folder: Path | None, journals: contextlib.ExitStack) -> tuple[Recorder, Recorder]:
    """Return where training and pretraining are recorded: apart, because either counts its steps from 0."""
    if folder is None:
        return _unrecorded, _unrecorded
    places = (folder, folder / "pretraining")
    training, before = (journals.enter_context(TensorBoardJournal(place)) for place in places)
    return training, before


def _require_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").touch()
        (out / ".writable").unlink()
    except OSError as error:
        raise CheckpointError(f"cannot write to {str(out)!r}: {error.strerror or error}") from error


def _unrecorded(_step: int, _figures: Mapping[str, float]) -> None:
    pass
