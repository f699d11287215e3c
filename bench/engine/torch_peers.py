"""Peers on torch: the transformers pipeline, the same checkpoint in sorted bfloat16 batches, and that compiled."""

import os
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.engine.batches import sorted_scorer
from bench.engine.place import BATCH, Answers, Floats, Place, Scorer, Unavailable
from models.labels import SENTIMENTS

if TYPE_CHECKING:
    import torch


def load_pipeline(place: Place) -> Scorer:
    """`pipeline("text-classification")` as its page has it, on the same trunk and sentiment head; without topics."""
    import torch
    from transformers import GPT2Config, GPT2ForSequenceClassification, pipeline

    from models.model import load_monitor

    monitor, tokenizer = load_monitor(str(place.checkpoint))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    config = GPT2Config.from_dict(monitor.config.to_dict())
    config.pad_token_id = tokenizer.pad_token_id
    config.id2label = dict(enumerate(SENTIMENTS))
    config.label2id = {name: number for number, name in enumerate(SENTIMENTS)}
    with torch.device("meta"):
        model = GPT2ForSequenceClassification(config)
    model.transformer, model.score = monitor.transformer, _calibrated(monitor)
    classify = pipeline("text-classification", model=model.eval(), tokenizer=tokenizer, device=place.device)
    options = {"batch_size": BATCH, "truncation": True, "max_length": place.max_tokens}

    def answer(texts: Sequence[str]) -> Answers:
        rows = [{one["label"]: one["score"] for one in row} for row in classify(list(texts), top_k=None, **options)]
        return Answers(np.array([[row[name] for name in SENTIMENTS] for row in rows], np.float32), None)

    return Scorer("float32", lambda texts: classify(list(texts), **options), answer)


def load_plain(place: Place) -> Scorer:
    """The plain pass in float32, which every answer is compared with."""
    import torch

    return sorted_scorer(place, "float32", _forward(place, torch.float32))


def load_sorted(place: Place) -> Scorer:
    """Sorted batches through the model of `from_pretrained` in bfloat16."""
    import torch

    from models.devices import native_bfloat16

    if not native_bfloat16(torch.device(place.device)):
        raise Unavailable("the hardware does not multiply bfloat16 natively")
    return sorted_scorer(place, "bfloat16", _forward(place, torch.bfloat16))


def load_compiled(place: Place) -> Scorer:
    """The same through `torch.compile`, in float32 where bfloat16 is slow; compiled here, before anything is timed."""
    compiler = os.environ.get("CXX", "g++")
    if place.device == "cpu" and not shutil.which(compiler):
        raise Unavailable(f"torch.compile needs a C++ compiler, and there is no {compiler}")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(place.scratch / "inductor")
    import torch

    from models.devices import pick_dtype

    dtype = pick_dtype("auto", torch.device(place.device))
    run = _forward(place, dtype, lambda model: torch.compile(model, dynamic=True))
    scorer = sorted_scorer(place, str(dtype).removeprefix("torch."), run)
    scorer.score(["compile", "for several texts"])
    scorer.score(["compile for one"])
    return scorer


def _forward(
    place: Place, dtype: "torch.dtype", made: Callable[[Any], Any] = lambda model: model
) -> Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[Floats, Floats]]:
    import torch

    from models.model import load_monitor

    model = made(load_monitor(str(place.checkpoint))[0].to(place.device, dtype).eval())

    @torch.inference_mode()
    def run(ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Floats, Floats]:
        given = torch.from_numpy(ids).to(place.device), torch.from_numpy(lengths).to(place.device)
        logits = model(*given)
        return logits.sentiment.float().cpu().numpy(), logits.topic.float().cpu().numpy()

    return run


def _calibrated(monitor: Any) -> Any:
    """The sentiment head with its temperature divided in, as the engine has it."""
    import torch

    head, temperature = monitor.sentiment_head, monitor.config.sentiment_temperature
    with torch.no_grad():
        head.weight /= temperature
        head.bias /= temperature
    return head
