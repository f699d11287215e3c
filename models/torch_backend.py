"""The forward pass by torch: on a CPU where it is asked for, and on a GPU."""

from collections.abc import Iterable, Iterator

import torch

from models.backends import Backend, Batch, Output
from models.checkpoint import Checkpoint
from models.cuda import Cuda, CudaBackend
from models.devices import pick_dtype
from models.graph import in_precision, transformed
from models.network import Network
from models.settings import ModelsSettings


class TorchBackend:
    """Torch's own kernels, one batch after the other."""

    name = "torch"
    lanes = 1

    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        self.precision = str(dtype).removeprefix("torch.")
        self._network = in_precision(network, dtype)

    def padded(self, length: int) -> int:
        """Return the length as it is."""
        return length

    def warm_up(self) -> None:
        """Do nothing: kernels are built ahead."""

    def run(self, batches: Iterable[Batch]) -> Iterator[Output]:
        """Give each batch's output, in order."""
        for batch in batches:
            with torch.inference_mode():
                sentiment, topic = self._network(torch.from_numpy(batch.ids), torch.from_numpy(batch.lengths))
            yield Output(sentiment.numpy(), topic.numpy())


def open_torch_backend(checkpoint: Checkpoint, settings: ModelsSettings, device: str, threads: int) -> Backend:
    """Return the transformed network on a device.

    Raises:
        SettingsError: a transformation to leave out is unknown.
        CheckpointError: the network cannot be served.
    """
    network = transformed(Network(checkpoint), settings.without)
    dtype = pick_dtype(settings.dtype, torch.device(device))
    if device == "cpu":
        torch.set_num_threads(threads)
        return TorchBackend(network, dtype)
    place = torch.device(device)
    context = min(settings.max_tokens, checkpoint.config.n_positions)
    return CudaBackend(in_precision(network, dtype).to(place), dtype, context, settings.token_budget, Cuda(place))
