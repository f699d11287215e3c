"""The forward pass on a CPU: the transformed network, compiled by OpenVINO.

OpenVINO fuses LayerNorm, attention and activations around the matrix products and packs their weights; on the same
transformed network it is faster than torch's kernels (`newsquake bench engine --ablation`), so it is the default.

Many batches run side by side, one on each core, so that no core waits for another at the end of each operation; a
single batch is spread over all cores, so that it is ready sooner.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from models.backends import Batch, Output
from models.checkpoint import Checkpoint
from models.conversion import converted
from models.settings import ModelsSettings

_STEP = 8
"""Tokens between the lengths that single texts are padded to."""


class OpenVinoBackend:
    """The network compiled twice: for a stream of batches, and for one alone."""

    name = "openvino"

    def __init__(self, checkpoint: Checkpoint, settings: ModelsSettings, *, bfloat16: bool, threads: int) -> None:
        """Compile the checkpoint's network.

        Raises:
            SettingsError: a transformation to leave out is unknown.
            CheckpointError: the network cannot be served.
        """
        self.precision = "bfloat16" if bfloat16 else "float32"
        self.lanes = threads
        self._context = min(settings.max_tokens, checkpoint.config.n_positions)
        core = openvino.Core()
        with converted(checkpoint, settings.without, settings.cache_dir) as path:
            model = core.read_model(path)
            self._many = _requests(core, model, bfloat16, threads, threads)
            self._alone = _requests(core, model, bfloat16, threads, 1) if threads > 1 else self._many

    def padded(self, length: int) -> int:
        """Return the length as it is: kernels for a new shape cost less than padding each text a little."""
        return length

    def warm_up(self) -> None:
        """Build the kernels for a single text of each length that `run` gives it."""
        for length in range(_STEP, self._context + _STEP, _STEP):
            alone = Batch(np.zeros((1, min(length, self._context)), np.int64), np.array([1]))
            deque(self.run([alone]), maxlen=0)

    def run(self, batches: Iterable[Batch]) -> Iterator[Output]:
        """Give each batch's output, in order; as many batches are under way as there are lanes."""
        coming = iter(batches)
        first = list(islice(coming, 2))
        if len(first) == 1:
            first = [self._stepped(first[0])]
        idle = deque(self._many if len(first) == 2 else self._alone)
        busy = deque[Any]()
        try:
            for batch in chain(first, coming):
                if not idle:
                    idle.append(busy.popleft())
                    yield _finished(idle[-1])
                busy.append(_started(idle.popleft(), batch))
            while busy:
                yield _finished(busy.popleft())
        finally:
            for request in busy:
                request.wait()

    def _stepped(self, batch: Batch) -> Batch:
        """Pad a text that comes alone to one of few lengths, whose kernels are all built: it is not kept waiting."""
        rows, length = batch.ids.shape
        if rows > 1 or length % _STEP == 0:
            return batch
        padding = min(-(-length // _STEP) * _STEP, self._context) - length
        return Batch(np.pad(batch.ids, ((0, 0), (0, padding))), batch.lengths)


_KERNELS = 200
"""Kernels that are kept for shapes seen before. Nearly every micro-batch has shapes of its own: with OpenVINO's own
default a worker at full load grew by 120 MB a minute, and was not faster for it."""


def _requests(core: Any, model: Any, bfloat16: bool, threads: int, streams: int) -> list[Any]:
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        "ENABLE_CPU_PINNING": False,  # workers that share a machine would be pinned to the same cores
        "CPU_RUNTIME_CACHE_CAPACITY": _KERNELS,
    }
    compiled = core.compile_model(model, "CPU", options)
    return [compiled.create_infer_request() for _ in range(streams)]


def _started(request: Any, batch: Batch) -> Any:
    _fill(request.get_input_tensor(0), batch.ids)
    _fill(request.get_input_tensor(1), batch.lengths)
    request.start_async()
    return request


def _fill(tensor: Any, values: NDArray[Any]) -> None:
    tensor.shape = values.shape  # memory is taken anew only where it grows
    tensor.data[:] = values


def _finished(request: Any) -> Output:
    request.wait()
    return Output(request.get_output_tensor(0).data.copy(), request.get_output_tensor(1).data.copy())
