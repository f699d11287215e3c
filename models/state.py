"""The state of an unfinished training run on disk, written after every epoch and free of pickle.

`training/` inside the output folder holds `weights.safetensors` (model with its adapters, and projection),
`optimizer.safetensors` (AdamW moments by parameter name), `tuning.safetensors` (what AdaLoRA knows of its ranks, where
it is the method) and `progress.json`. All randomness is drawn from (seed, epoch, step), so no generator
state is needed for a resumed run to equal an uninterrupted one.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.adapters import Tuning
from models.errors import CheckpointError, TrainingError


@dataclass(slots=True)
class Progress:
    """Where a run stands."""

    fingerprint: str
    """Of the settings and rows; a state is only resumed by the run that wrote it."""
    epoch: int = 0
    """Epochs done."""
    best: float = -1.0
    best_epoch: int = 0


def state_folder(out: Path) -> Path:
    """Return where a run that writes to `out` keeps its state."""
    return out / "training"


def save_state(
    out: Path, modules: nn.Module, optimizer: torch.optim.Optimizer, tuning: Tuning, progress: Progress
) -> None:
    """Write the state beside the old one and swap them, so that a crash leaves one whole state.

    Raises:
        CheckpointError: `out` cannot be written.
    """
    try:
        _save_state(out, modules, optimizer, tuning, progress)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write training state below {str(out)!r}: {error}") from error


def _save_state(
    out: Path, modules: nn.Module, optimizer: torch.optim.Optimizer, tuning: Tuning, progress: Progress
) -> None:
    fresh = out / "training.partial"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in modules.state_dict().items()}, fresh / "weights.safetensors")
    save_file(_moments(modules, optimizer), fresh / "optimizer.safetensors")
    if kept := tuning.state():
        save_file(kept, fresh / "tuning.safetensors")
    (fresh / "progress.json").write_text(json.dumps(asdict(progress), indent=2) + "\n")
    shutil.rmtree(state_folder(out), ignore_errors=True)
    os.replace(fresh, state_folder(out))


def load_state(
    out: Path, modules: nn.Module, optimizer: torch.optim.Optimizer, tuning: Tuning, fingerprint: str
) -> Progress:
    """Restore model, optimizer, what the method keeps besides weights, and progress.

    Raises:
        TrainingError: there is no state, it is damaged, or it belongs to other rows or settings.
    """
    folder = state_folder(out)
    try:
        progress = Progress(**json.loads((folder / "progress.json").read_text()))
        if progress.fingerprint != fingerprint:
            raise TrainingError(f"{folder} is of other rows or settings: use the same, or train without --resume")
        modules.load_state_dict(load_file(folder / "weights.safetensors"))
        if (folder / "tuning.safetensors").exists():
            tuning.restore(load_file(folder / "tuning.safetensors"))
        _restore_moments(modules, optimizer, load_file(folder / "optimizer.safetensors"))
    except FileNotFoundError as error:
        raise TrainingError(f"nothing to resume in {folder}: train without --resume") from error
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise TrainingError(f"{folder} is damaged: delete it and train without --resume") from error
    return progress


def _moments(modules: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}|{key}": value.clone()
        for name, parameter in modules.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _restore_moments(modules: nn.Module, optimizer: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    parameters = dict(modules.named_parameters())
    for full, value in moments.items():
        name, key = full.rsplit("|", 1)
        optimizer.state[parameters[name]][key] = value.to(parameters[name].device)
