"""What runs the forward pass: OpenVINO on a CPU, torch on a CPU where it is asked for, CUDA graphs on a GPU.

All take batches of right-padded token ids and give probabilities, in order; which one runs decides speed alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.checkpoint import Checkpoint
from models.errors import SettingsError
from models.hardware import cpu_multiplies_bfloat16, find_device, usable_cores
from models.settings import ModelsSettings


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that share a forward pass."""

    ids: NDArray[np.int64]
    """Token ids, (n, longest), padded on the right with anything."""
    lengths: NDArray[np.int64]
    """Real tokens of each text, (n,), at least 1."""


@dataclass(frozen=True, slots=True)
class Output:
    """Calibrated probabilities of a batch."""

    sentiment: NDArray[np.float32]
    """(n, 3)."""
    topic: NDArray[np.float32]
    """(n, topics)."""


class Backend(Protocol):
    """Runs a network on a device."""

    name: str
    """Such as `openvino`."""
    precision: str
    """Of the trunk's matrix products, such as `bfloat16`."""
    lanes: int
    """Batches that it works on at the same time."""

    def padded(self, length: int) -> int:
        """Return the length to which a text of so many tokens is best padded in a batch."""
        ...

    def warm_up(self) -> None:
        """Build what the first batches would otherwise wait for."""
        ...

    def run(self, batches: Iterable[Batch]) -> Iterator[Output]:
        """Give each batch's output, in order."""
        ...


def open_backend(checkpoint: Checkpoint, settings: ModelsSettings) -> Backend:
    """Hand the checkpoint's network, transformed, to what runs it fastest on the device that the settings name.

    Raises:
        SettingsError: the device is not there, the wanted backend does not run on it, or a transformation to leave
            out is unknown.
        CheckpointError: the network cannot be served.
    """
    device, threads = find_device(settings.device), settings.threads or usable_cores()
    if device == "cpu" and settings.backend != "torch":
        from models.openvino import OpenVinoBackend

        bfloat16 = settings.dtype == "bfloat16" or (settings.dtype == "auto" and cpu_multiplies_bfloat16())
        return OpenVinoBackend(checkpoint, settings, bfloat16=bfloat16, threads=threads)
    if settings.backend == "openvino":
        raise SettingsError(f"backend openvino runs on a CPU: use auto or torch with device {device}")
    from models.torch_backend import open_torch_backend

    return open_torch_backend(checkpoint, settings, device, threads)
