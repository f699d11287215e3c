"""The CUDA backend without CUDA: its buckets, slots and order, on an accelerator that is a CPU."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from models.backends import Batch, Output
from models.checkpoint import Checkpoint, read_checkpoint
from models.cuda import CudaBackend, bucket_for, buckets
from models.engine import Engine
from models.errors import SettingsError
from models.graph import transformed
from models.network import Network
from models.settings import ModelsSettings
from tests.models.outputs import furthest


class OnCpu:
    """Keeps the promises of an accelerator on a CPU: fixed buffers, a recorded pass, outputs that are overwritten."""

    def __init__(self) -> None:
        self.recorded = 0
        self.waited = 0

    def host(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype)

    device = host

    def captured(self, run: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> Callable[[], tuple[torch.Tensor, ...]]:
        self.recorded += 1
        outputs = run()

        def replay() -> tuple[torch.Tensor, ...]:
            for output, value in zip(outputs, run(), strict=True):
                output.copy_(value)
            return outputs

        return replay

    def mark(self) -> Callable[[], None]:
        def wait() -> None:
            self.waited += 1

        return wait


@pytest.fixture
def on_cpu(shipped: Checkpoint) -> tuple[CudaBackend, OnCpu]:
    accelerator = OnCpu()
    return CudaBackend(transformed(Network(shipped)), torch.float32, 256, 512, accelerator), accelerator  # type: ignore[arg-type]


def test_graphs_by_bucket_give_every_batch_its_answer_in_order(
    on_cpu: tuple[CudaBackend, OnCpu], batches: list[Batch], expected: list[Output]
) -> None:
    backend, accelerator = on_cpu
    fitting = [batch for batch in batches if batch.ids.size <= 512]
    wanted = [output for batch, output in zip(batches, expected, strict=True) if batch.ids.size <= 512]
    assert furthest(list(backend.run(fitting)), wanted) <= 1e-4
    recorded = accelerator.recorded
    assert furthest(list(backend.run(fitting[::-1])), wanted[::-1]) <= 1e-4
    assert accelerator.recorded == recorded
    assert accelerator.waited == 2 * len(fitting)


def test_the_next_batch_is_under_way_before_an_output_is_waited_for(
    on_cpu: tuple[CudaBackend, OnCpu], batches: list[Batch]
) -> None:
    backend, accelerator = on_cpu
    asked = []

    def watched() -> Iterator[Batch]:
        for _ in range(4):
            asked.append(accelerator.waited)
            yield batches[1]

    assert len(list(backend.run(watched()))) == 4
    assert asked == [0, 0, 0, 1]


def test_warming_up_records_every_bucket(shipped: Checkpoint) -> None:
    accelerator = OnCpu()
    small = CudaBackend(transformed(Network(shipped)), torch.float32, 24, 48, accelerator)  # type: ignore[arg-type]
    small.warm_up()
    assert accelerator.recorded == 2 * len(small.buckets)


def test_every_group_of_an_engine_fits_a_bucket() -> None:
    found = buckets(256, 1024)
    for length in range(1, 257):
        padded = min(bucket for _, bucket in found if bucket >= length)
        for rows in range(1, max(1, 1024 // padded) + 1):
            bucket = bucket_for(found, rows, padded)
            assert bucket[0] >= rows and bucket[1] >= length
    with pytest.raises(SettingsError, match="lower token_budget"):
        bucket_for(found, 1000, 256)


def test_an_engine_on_graphs_scores_as_one_on_torch(shipped: Checkpoint, on_cpu: tuple[CudaBackend, OnCpu]) -> None:
    settings = ModelsSettings(device="cpu", backend="torch", dtype="float32", cache_size=0, token_budget=512)
    texts = ["Profit falls", "存款无法取出", "", "Shares rise on strong demand " * 30] * 9
    texts = [f"{text} {at}" for at, text in enumerate(texts)]
    plain = Engine.load(settings).probabilities(texts)
    graphs = Engine(read_checkpoint(settings.checkpoint), on_cpu[0], settings).probabilities(texts)
    for ours, theirs in zip(graphs, plain, strict=True):
        assert np.abs(ours - theirs).max() < 1e-4
