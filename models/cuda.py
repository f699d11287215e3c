"""The forward pass on a GPU: one CUDA graph for each bucket of shapes, with copies that overlap the computing.

    batch ─► bucket (rows, length) ─► pinned buffer ─► GPU ─► replayed graph ─► GPU ─► pinned buffer ─► output

A GPU is idle between small kernels unless their launches are recorded once and replayed, which needs shapes and
addresses that never change: so texts are padded up to the bucket's length, and rows up to the bucket's rows. Two slots
take turns: while the GPU works on one batch the next is padded and copied. `Accelerator` is all that touches CUDA; the
rest runs, and is tested, on a CPU.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from models.backends import Batch, Output
from models.errors import SettingsError

LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Lengths of buckets, tokens: less than half of a text that is longer than the shortest one's is padding."""
_FEW_ROWS = (1, 8, 32, 128)
"""Rows of buckets for batches that are not full."""
_SLOTS = 2
_BUDGET = 32_768
"""Tokens of a full bucket where the settings leave it open: it keeps a large card busy for several milliseconds."""

Pass = Callable[[], tuple[Tensor, Tensor]]


class Accelerator(Protocol):
    """What a GPU does for a slot."""

    def host(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Return a buffer on the host that copies can be queued from and to."""
        ...

    def device(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Return a buffer on the device."""
        ...

    def captured(self, run: Pass) -> Pass:
        """Record a pass over fixed buffers; return what replays it into the same outputs."""
        ...

    def mark(self) -> Callable[[], None]:
        """Return what waits until all that is queued by now is done."""
        ...


class Cuda:
    """A CUDA device: pinned buffers, recorded graphs, events."""

    def __init__(self, place: torch.device) -> None:
        self._place = place
        self._pool = torch.cuda.graph_pool_handle()

    def host(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Return a pinned buffer, which is copied without the processor's help."""
        return torch.zeros(*shape, dtype=dtype, pin_memory=True)

    def device(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Return a buffer in the card's memory."""
        return torch.zeros(*shape, dtype=dtype, device=self._place)

    def captured(self, run: Pass) -> Pass:
        """Record the pass as a CUDA graph, after the three rounds beside the main stream that recording asks for."""
        aside = torch.cuda.Stream(self._place)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(self._place))
        with torch.cuda.stream(aside):
            for _ in range(3):
                run()
        torch.cuda.current_stream(self._place).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._place), torch.cuda.graph(graph, pool=self._pool):  # else it records card 0
            outputs = run()

        def replay() -> tuple[Tensor, Tensor]:
            graph.replay()
            return outputs

        return replay

    def mark(self) -> Callable[[], None]:
        """Record an event on the current stream."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._place))
        return event.synchronize


@dataclass(slots=True)
class _Slot:
    """The buffers of one batch in one bucket."""

    ids_here: Tensor
    lengths_here: Tensor
    ids: Tensor
    lengths: Tensor
    replay: Pass
    results: list[Tensor]
    """Sentiment and topic probabilities on the host."""

    def start(self, batch: Batch) -> None:
        """Queue the copies and the pass; rows beyond the batch keep what they had, and are not read."""
        rows, length = batch.ids.shape
        self.ids_here[:rows, :length] = torch.from_numpy(batch.ids)
        self.lengths_here[:rows] = torch.from_numpy(batch.lengths)
        self.ids.copy_(self.ids_here, non_blocking=True)
        self.lengths.copy_(self.lengths_here, non_blocking=True)
        for result, output in zip(self.results, self.replay(), strict=True):
            result.copy_(output, non_blocking=True)


class CudaBackend:
    """The network's graphs, bucket by bucket, each recorded when its first batch comes or in `warm_up`."""

    name = "cuda graphs"
    lanes = 1  # the slots overlap copies with computing, but the graphs run one after the other

    def __init__(self, network: nn.Module, dtype: torch.dtype, context: int, budget: int, accelerator: Accelerator):
        self.precision = str(dtype).removeprefix("torch.")
        self._network, self._accelerator = network, accelerator
        self.buckets = buckets(context, budget or _BUDGET)
        self._slots: dict[tuple[int, int], deque[_Slot]] = {}

    def padded(self, length: int) -> int:
        """Return the length of the shortest bucket that a text of so many tokens fits into."""
        return min(bucket for _, bucket in self.buckets if bucket >= length)

    def warm_up(self) -> None:
        """Record every bucket's graph, so that no batch has to wait for it. Largest first: they share their memory."""
        for bucket in sorted(self.buckets, key=lambda bucket: -bucket[0] * bucket[1]):
            self._bucket_slots(bucket)

    def run(self, batches: Iterable[Batch]) -> Iterator[Output]:
        """Give each batch's output, in order; the next batch is under way before an output is waited for."""
        under_way: deque[tuple[_Slot, int, Callable[[], None]]] = deque()
        for batch in batches:
            if len(under_way) == _SLOTS:
                yield _finished(*under_way.popleft())
            slots = self._bucket_slots(bucket_for(self.buckets, *batch.ids.shape))
            slots.rotate()
            with torch.inference_mode():
                slots[0].start(batch)
            under_way.append((slots[0], len(batch.lengths), self._accelerator.mark()))
        while under_way:
            yield _finished(*under_way.popleft())

    def _bucket_slots(self, bucket: tuple[int, int]) -> deque[_Slot]:
        if bucket not in self._slots:
            self._slots[bucket] = deque(self._new_slot(*bucket) for _ in range(_SLOTS))
        return self._slots[bucket]

    def _new_slot(self, rows: int, length: int) -> _Slot:
        make = self._accelerator
        ids, lengths = make.device(rows, length, dtype=torch.int64), make.device(rows, dtype=torch.int64)
        lengths += 1
        lengths_here = make.host(rows, dtype=torch.int64)
        lengths_here += 1

        def forward() -> tuple[Tensor, Tensor]:
            sentiment, topic = self._network(ids, lengths)
            return sentiment, topic

        with torch.inference_mode():
            replay = make.captured(forward)
            results = [make.host(*output.shape, dtype=torch.float32) for output in replay()]
        return _Slot(make.host(rows, length, dtype=torch.int64), lengths_here, ids, lengths, replay, results)


def _finished(slot: _Slot, rows: int, wait: Callable[[], None]) -> Output:
    wait()
    sentiment, topic = (result[:rows].numpy().copy() for result in slot.results)
    return Output(sentiment, topic)


def buckets(context: int, budget: int) -> list[tuple[int, int]]:
    """Return the shapes (rows, length) to record: for each length a full bucket, and some for batches of few rows."""
    lengths = [length for length in LENGTHS if length < context] + [context]
    found = []
    for length in lengths:
        full = max(1, budget // length)
        found += [(rows, length) for rows in (*_FEW_ROWS, full) if rows < full] + [(full, length)]
    return found


def bucket_for(found: Sequence[tuple[int, int]], rows: int, length: int) -> tuple[int, int]:
    """Return the bucket of fewest tokens that the batch fits into.

    Raises:
        SettingsError: none is large enough.
    """
    fitting = [bucket for bucket in found if bucket[0] >= rows and bucket[1] >= length]
    if not fitting:
        raise SettingsError(f"a batch of {rows} texts and {length} tokens fits no bucket: lower token_budget")
    return min(fitting, key=lambda bucket: bucket[0] * bucket[1])
