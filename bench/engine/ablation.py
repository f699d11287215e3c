"""What each step of the engine is worth: the engine without it, in the same rounds as the whole one.

Every transformation of `models.graph` is left out alone, then all of them; the backends and precisions stand beside. A
ratio is a variant's speed over the baseline's: what is under 1 shows that the step earns its place.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.engine.figures import times_as_fast
from bench.engine.measure import Plan, measure
from bench.engine.peers import Peer, engine
from bench.engine.remote import apart, naming
from bench.engine.report import rounded
from bench.engine.rounds import Watch
from bench.engine.texts import Texts

BASELINE = "torch"


def transformations() -> dict[str, str]:
    """Names of the graph's transformations, and what each does."""
    from models.graph import TRANSFORMATIONS

    return {name: transformation.summary for name, transformation in TRANSFORMATIONS.items()}


def variants(steps: Mapping[str, str]) -> list[Peer]:
    """The engine whole on torch, without each step, without any, and with other backends and precisions."""
    return [
        engine(BASELINE, "all transformations, on torch", backend="torch"),
        *(engine(f"without {name}", summary, backend="torch", without=(name,)) for name, summary in steps.items()),
        engine("without any", "no transformation, on torch", backend="torch", without=tuple(steps)),
        engine("torch float32", "all transformations, on torch in float32", backend="torch", dtype="float32"),
        engine("openvino", "all transformations, on OpenVINO", backend="openvino"),
        engine("openvino float32", "the same in float32", backend="openvino", dtype="float32"),
        engine("default", "what the settings choose by themselves"),
    ]


def ablate(checkpoint: Path, texts: Texts, plan: Plan, watch: Watch, log: Path) -> dict[str, Any]:
    """Measure every variant on a checkpoint.

    Raises:
        BenchError: the baseline does not run.
    """
    with naming("the list of transformations"):
        contenders = variants(apart(transformations, log=log))
    found = measure(checkpoint, texts, contenders, plan, watch, required=(BASELINE,), ceiling=False)
    whole = found.timings[BASELINE].rounds
    described = {peer.name: peer.summary for peer in contenders}
    return {
        name: {"summary": summary}
        | (
            {"unavailable": found.unavailable[name]}
            if name in found.unavailable
            else rounded(found.figures[name] | {"ratio": times_as_fast(found.timings[name].rounds, whole)})
        )
        for name, summary in described.items()
    }
