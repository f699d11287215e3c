"""A whole run: the texts, the shipped checkpoint and a GPT-2 of base size, one after the other."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engine.ablation import ablate
from bench.engine.base import BASE, build
from bench.engine.measure import Plan, measure
from bench.engine.peers import OURS, PIPELINE, Peer, engine
from bench.engine.remote import apart, naming
from bench.engine.report import model_document, peers_document
from bench.engine.rounds import Watch
from bench.engine.texts import Texts, draw
from bench.machine import machine
from models.settings import SHIPPED_CHECKPOINT

PACKAGES = ("torch", "transformers", "tokenizers", "onnxruntime", "openvino")
MODELS = ("shipped", "base")
_SPREAD_OVER = 96
"""Texts over which the base model's heads are spread; they are not those that are measured."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure."""

    peers: Sequence[Peer]
    plan: Plan
    texts: Path | None = None
    """File or folder; the corpus without one."""
    count: int = 1024
    """Texts in a round; a quarter of them for the base model."""
    singles: int = 60
    models: Sequence[str] = MODELS
    ablation: bool = False
    checkpoint: Path = SHIPPED_CHECKPOINT
    base: Mapping[str, int] | None = None
    """Shape of the base model, where it is not GPT-2's."""


def run(request: Request, watch: Watch) -> dict[str, Any]:
    """Measure and return the JSON document.

    Raises:
        BenchUsage: there are no texts.
        BenchError: the engine or the pipeline does not run.
    """
    texts = draw(request.texts, request.count, request.singles)
    document: dict[str, Any] = {"peers": {}}
    contenders = [engine(), *request.peers]
    required = [OURS, *(peer.name for peer in request.peers if peer.name == PIPELINE)]
    with tempfile.TemporaryDirectory(prefix="newsquake-bench-") as folder:
        for name in request.models:
            checkpoint, batch = request.checkpoint, texts
            if name == "base":
                checkpoint, batch = _base(request, Path(folder)), texts.head(max(1, len(texts.batch) // 4))
            seen = _staged(watch, name)
            found = measure(checkpoint, batch, contenders, request.plan, seen, required=required)
            document[name], document["peers"][name] = model_document(found), peers_document(found)
            if request.ablation:
                log = Path(folder) / "ablation.log"
                steps = ablate(checkpoint, batch, request.plan, _staged(watch, f"{name}, ablation"), log)
                document.setdefault("ablation", {})[name] = steps
    return document | _circumstances(request, texts)


def _base(request: Request, folder: Path) -> Path:
    examples = draw(None, _SPREAD_OVER, 1, seed=1).batch
    made, shape = folder / "base", dict(request.base or BASE)
    with naming("the building of a base-size model"):
        apart(build, str(request.checkpoint), str(made), examples, shape, log=folder / "base.log")
    return made


def _circumstances(request: Request, texts: Texts) -> dict[str, Any]:
    return {
        "texts": {
            "source": str(request.texts or "the package's corpus"),
            "languages": texts.languages(),
            "batch": len(texts.batch),
            "singles": len(texts.singles),
        },
        "rounds": request.plan.rounds,
        "device": request.plan.device,
        "machine": machine(PACKAGES),
    }


def _staged(watch: Watch, name: str) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: watch(f"{name}: {stage}", done, total)
