"""Peers on exported graphs: ONNX Runtime in float32 and int8, and OpenVINO.

The exported pass takes an attention mask, as exports of transformers models do: without one, transformers looks for
packed sequences, which OpenVINO cannot convert, and a batch size taken by `len` would be fixed at that of the example.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.engine.batches import sorted_scorer
from bench.engine.place import Floats, Place, Scorer

_INPUTS, _OUTPUTS = ["input_ids", "attention_mask"], ["sentiment", "topic"]


def export_onnx(place: Place) -> None:
    """Write `model.onnx` by `torch.onnx.export`, batch and length left open."""
    import torch

    pass_, example = _exportable(place)
    shapes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("longest")}
    torch.onnx.export(
        pass_,
        example,
        place.scratch / "model.onnx",
        input_names=_INPUTS,
        output_names=_OUTPUTS,
        dynamic_shapes=(shapes, shapes),
        verbose=False,
    )


def export_onnx_int8(place: Place) -> None:
    """Write `model.int8.onnx` by dynamic quantisation."""
    from onnxruntime.quantization import quantize_dynamic

    if not (place.scratch / "model.onnx").exists():
        export_onnx(place)
    quantize_dynamic(place.scratch / "model.onnx", place.scratch / "model.int8.onnx")


def load_onnx(place: Place) -> Scorer:
    """ONNX Runtime on the float32 graph."""
    return _onnx(place, "model.onnx", "float32")


def load_onnx_int8(place: Place) -> Scorer:
    """ONNX Runtime on the quantised graph."""
    return _onnx(place, "model.int8.onnx", "int8")


def export_openvino(place: Place) -> None:
    """Write `openvino.xml` by `convert_model`, weights as they are."""
    import openvino

    pass_, example = _exportable(place)
    converted = openvino.convert_model(pass_, example_input=dict(zip(_INPUTS, example, strict=True)))
    openvino.save_model(converted, place.scratch / "openvino.xml", compress_to_fp16=False)


def load_openvino(place: Place) -> Scorer:
    """OpenVINO with its own choice of precision."""
    import openvino

    compiled = openvino.compile_model(place.scratch / "openvino.xml", "CPU")
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    known = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}

    def run(ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Floats, Floats]:
        found = compiled(dict(zip(_INPUTS, (ids, _mask(ids, lengths)), strict=True)))
        return found[0], found[1]

    return sorted_scorer(place, known.get(precision, precision), run)


def _onnx(place: Place, name: str, precision: str) -> Scorer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = place.cores
    session = onnxruntime.InferenceSession(place.scratch / name, options, providers=["CPUExecutionProvider"])

    def run(ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Floats, Floats]:
        sentiment, topic = session.run(_OUTPUTS, dict(zip(_INPUTS, (ids, _mask(ids, lengths)), strict=True)))
        return sentiment, topic

    return sorted_scorer(place, precision, run)


def _mask(ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)


def _exportable(place: Place) -> tuple[Any, tuple[Any, Any]]:
    """The plain pass from ids and mask to logits, and an example of its inputs."""
    import torch

    from models.model import load_monitor

    class Pass(torch.nn.Module):
        def __init__(self, monitor: Any) -> None:
            super().__init__()
            self.monitor = monitor

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            states = self.monitor.transformer(
                input_ids=input_ids, attention_mask=attention_mask, use_cache=False
            ).last_hidden_state
            last = (attention_mask.sum(1) - 1)[:, None, None].expand(-1, 1, states.shape[-1])
            pooled = states.gather(1, last).squeeze(1)
            return self.monitor.sentiment_head(pooled), self.monitor.topic_head(pooled)

    monitor = load_monitor(str(place.checkpoint))[0]
    ids = torch.ones(2, 16, dtype=torch.long)
    return Pass(monitor).eval(), (ids, torch.ones_like(ids))
