"""What this machine reaches in plain matrix products of a model's shapes, nothing else around them.

One block's four products at `ROWS` rows, each at the best of its repetitions: torch's F.linear in bfloat16 where that
is native and in float32, and OpenVINO's MatMul at its own precision where OpenVINO is installed, for its kernels can be
faster than torch's. OpenVINO packs the weights once; torch takes them as a Linear holds them.
"""

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from bench.engine.work import Shape

ROWS = 2048
_SECONDS = 0.1
"""Of repetitions of each product in a round."""


class Ceiling:
    """What a `Remote` holds to measure ceilings round by round."""

    def __init__(self, shape: Shape, device: str) -> None:
        self._ways = {
            way: [
                (2.0 * ROWS * narrow * wide, product)
                for (narrow, wide), product in zip(shape.products(), of, strict=True)
            ]
            for way, of in _ways(shape, device).items()
        }
        self.measure()

    def measure(self) -> dict[str, float]:
        """GFLOP/s of each way."""
        return {way: _rate(products) for way, products in self._ways.items()}


def _rate(products: list[tuple[float, Callable[[], object]]]) -> float:
    return sum(work for work, _ in products) / sum(_best(product) for _, product in products) / 1e9


def _best(product: Callable[[], object]) -> float:
    """Seconds of the fastest of at least four repetitions."""
    taken: list[float] = []
    while len(taken) < 4 or sum(taken) < _SECONDS:
        began = time.perf_counter()
        product()
        taken.append(time.perf_counter() - began)
    return min(taken)


def _ways(shape: Shape, device: str) -> dict[str, list[Callable[[], object]]]:
    import torch

    from models.devices import native_bfloat16

    dtypes = [torch.float32]
    if native_bfloat16(torch.device(device)):
        dtypes.insert(0, torch.bfloat16)
    ways = {
        f"torch {str(dtype).removeprefix('torch.')}": [
            _torch_product(narrow, wide, dtype, device) for narrow, wide in shape.products()
        ]
        for dtype in dtypes
    }
    if device == "cpu" and find_spec("openvino"):
        ways["openvino"] = [_openvino_product(narrow, wide) for narrow, wide in shape.products()]
    return ways


def _torch_product(narrow: int, wide: int, dtype: Any, device: str) -> Callable[[], object]:
    import torch
    from torch.nn import functional

    states = torch.randn(ROWS, narrow, dtype=dtype, device=device)
    weights = torch.randn(wide, narrow, dtype=dtype, device=device)

    @torch.inference_mode()
    def product() -> None:
        functional.linear(states, weights)
        if device != "cpu":
            torch.cuda.synchronize(device)

    return product


def _openvino_product(narrow: int, wide: int) -> Callable[[], object]:
    import numpy as np
    import openvino
    from openvino import opset13 as operations

    chance = np.random.default_rng(0)
    states = chance.standard_normal((ROWS, narrow), np.float32)
    given = operations.parameter([ROWS, narrow], np.float32)
    weights = operations.constant(chance.standard_normal((wide, narrow), np.float32))
    graph = openvino.Model([operations.matmul(given, weights, False, True)], [given])
    request = openvino.compile_model(graph, "CPU").create_infer_request()
    request.set_input_tensor(openvino.Tensor(states))
    return lambda: request.infer(share_inputs=True, share_outputs=True)
