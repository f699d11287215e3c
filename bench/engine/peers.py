"""Who is measured: the engine, and the ways in which users run the same checkpoint today.

Each is built in a process of its own by its `load` (`contender`). What a user would do once, such as exporting, is its
`prepare`, done beforehand in yet another process, so that it counts in no one's memory.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from bench.engine.exported_peers import (
    export_onnx,
    export_onnx_int8,
    export_openvino,
    load_onnx,
    load_onnx_int8,
    load_openvino,
)
from bench.engine.place import Answers, Place, Scorer, Unavailable
from bench.engine.torch_peers import load_compiled, load_pipeline, load_plain, load_sorted
from bench.errors import BenchUsage

OURS, PIPELINE, PLAIN = "ours", "pipeline", "float32"


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to score texts."""

    name: str
    summary: str
    load: Callable[[Place], Scorer]
    prepare: Callable[[Place], None] | None = None
    packages: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")

    def missing(self, device: str) -> str | None:
        """Why it cannot even be tried here, if so."""
        lacking = [package for package in self.packages if find_spec(package) is None]
        if lacking:
            return f"not installed: {', '.join(lacking)} (pip install 'newsquake[bench]')"
        return None if device.partition(":")[0] in self.devices else f"does not run on {device}"


def load_engine(place: Place, **changes: Any) -> Scorer:
    """The engine as a worker loads it, without its cache, and with what an ablation changes."""
    from models.settings import ModelsSettings

    if unknown := changes.keys() - ModelsSettings.model_fields.keys():
        raise Unavailable(f"the engine has no setting {', '.join(sorted(unknown))}")
    settings = ModelsSettings(checkpoint=str(place.checkpoint), device=place.device, cache_size=0, **changes)
    from models.engine import Engine

    engine = Engine.load(settings)
    engine.warm_up()

    def answer(texts: Sequence[str]) -> Answers:
        sentiment, topic = engine.probabilities(texts)
        return Answers(sentiment.astype(np.float32), topic.astype(np.float32))

    return Scorer(_engine_precision(settings), engine.score, answer)


def engine(name: str = OURS, summary: str = "newsquake's resident engine, default settings", **changes: Any) -> Peer:
    """The engine as a contender; `changes` are settings that differ from the defaults."""
    return Peer(name, summary, partial(load_engine, **changes))


REFERENCE = Peer(PLAIN, "the plain transformers pass in float32, which all answers are compared with", load_plain)

PEERS = {
    peer.name: peer
    for peer in (
        Peer(PIPELINE, "transformers pipeline, its defaults, batches of 32; sentiment alone", load_pipeline),
        Peer("sorted bf16", "transformers in bfloat16, sorted batches of 32", load_sorted),
        Peer("torch.compile", "the same, compiled with dynamic shapes", load_compiled),
        Peer(
            "onnxruntime fp32",
            "ONNX Runtime, sorted batches of 32",
            load_onnx,
            export_onnx,
            ("onnx", "onnxscript", "onnxruntime"),
            ("cpu",),
        ),
        Peer(
            "onnxruntime int8",
            "the same after dynamic quantisation",
            load_onnx_int8,
            export_onnx_int8,
            ("onnx", "onnxscript", "onnxruntime"),
            ("cpu",),
        ),
        Peer(
            "openvino",
            "OpenVINO at its own precision, sorted batches of 32",
            load_openvino,
            export_openvino,
            ("openvino",),
            ("cpu",),
        ),
    )
}


def chosen(names: str | None) -> list[Peer]:
    """The peers that a comma-separated list names (`sorted-bf16` is `sorted bf16`), all of them without one.

    Raises:
        BenchUsage: there is no such peer.
    """
    if names is None:
        return list(PEERS.values())
    known = {_key(name): peer for name, peer in PEERS.items()}
    wanted = [part.strip() for part in names.split(",") if part.strip()]
    if unknown := [name for name in wanted if _key(name) not in known]:
        raise BenchUsage(f"no peer {unknown[0]!r}: choose from {', '.join(PEERS)}")
    return [known[_key(name)] for name in wanted]


def _key(name: str) -> str:
    return re.sub(r"[-. ]+", " ", name.lower())


def _engine_precision(settings: Any) -> str:
    from models.devices import pick_device, pick_dtype

    return str(pick_dtype(settings.dtype, pick_device(settings.device))).removeprefix("torch.")
