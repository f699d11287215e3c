"""How fast the engine scores texts, against the plain transformers forward of the same checkpoint (batches of 32).

Texts are written for the project (`models/corpus`), none twice. Rounds alternate; medians, their ratio and the share of
equal labels are printed.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import typer

import models
from bench.machine import machine
from models.engine import Engine
from models.labels import SENTIMENTS
from models.model import load_monitor, pad_token_id
from models.settings import ModelsSettings

ROUNDS, BATCH, TEXTS = 3, 32, 800


def texts() -> list[str]:
    """Every text of the corpus, once."""
    folder = Path(models.__file__).parent / "corpus"
    rows = [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.open(encoding="utf-8")]
    return list(dict.fromkeys(row["text"] for row in rows))


def peer(checkpoint: str) -> Callable[[list[str]], list[str]]:
    """Tokenise, pad and run the model as its authors would; float32."""
    model, tokenizer = load_monitor(checkpoint)
    model = model.float().eval()
    pad = pad_token_id(tokenizer)

    @torch.inference_mode()
    def score(batch: list[str]) -> list[str]:
        labels: list[str] = []
        for start in range(0, len(batch), BATCH):
            rows = [ids[:256] or [pad] for ids in tokenizer(batch[start : start + BATCH])["input_ids"]]
            width = max(map(len, rows))
            ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
            lengths = torch.tensor([len(row) for row in rows])
            sentiment = model(input_ids=ids, lengths=lengths).sentiment
            labels += [SENTIMENTS[index] for index in sentiment.argmax(-1).tolist()]
        return labels

    return score


def main() -> int:
    settings = ModelsSettings(cache_size=0)
    engine = Engine.load(settings)
    engine.warm_up()
    ways: dict[str, Callable[[list[str]], list[str]]] = {
        "engine": lambda batch: [score.sentiment for score in engine.score(batch)],
        "transformers": peer(str(settings.checkpoint)),
    }
    batch = texts()[::2][:TEXTS]
    rates: dict[str, list[float]] = {name: [] for name in ways}
    labels: dict[str, list[str]] = {}
    for number in range(ROUNDS + 1):
        for name, score in ways.items():
            began = time.perf_counter()
            labels[name] = score(batch)
            if number:  # the first round warms up
                rates[name].append(len(batch) / (time.perf_counter() - began))
    typer.echo(" · ".join(f"{name} {value}" for name, value in machine().items()))
    ours = statistics.median(rates["engine"])
    for name, found in rates.items():
        median = statistics.median(found)
        span = f"{min(found):,.0f} to {max(found):,.0f}"
        typer.echo(f"{name:13} {median:7,.0f} texts/s ({span}); the engine is {ours / median:.1f} x that")
    same = sum(one == other for one, other in zip(*labels.values(), strict=True)) / len(batch)
    typer.echo(f"{len(batch):,} texts, {same:.2%} equal labels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
