"""Which device and precision torch can use on this machine."""

import contextlib
from collections.abc import Iterator

import torch

from models.errors import SettingsError, TrainingError
from models.hardware import cpu_multiplies_bfloat16


def pick_device(wanted: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda[:N]`.

    Raises:
        SettingsError: a GPU is asked for that is not there.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise SettingsError(f"device {wanted!r} is not here ({torch.cuda.device_count()} GPUs): use auto or cpu")
    return device


def pick_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Return the precision for `auto`, `float32` or `bfloat16`: auto never picks one that the hardware emulates."""
    if wanted == "auto":
        return torch.bfloat16 if native_bfloat16(device) else torch.float32
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def native_bfloat16(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 in hardware (AVX512-BF16 or AMX on a CPU, Ampere on a GPU)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and cpu_multiplies_bfloat16()


def autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return mixed precision for training where bfloat16 is native, and nothing elsewhere."""
    if native_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


@contextlib.contextmanager
def memory_told() -> Iterator[None]:
    """Turn a device's lack of memory into an error that says what to do.

    Raises:
        TrainingError: memory ran out.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            "memory ran out: lower --batch-size and raise --accumulate, lower --max-tokens, or use --method lora"
        ) from error
