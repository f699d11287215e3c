"""The document of a run as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from newsquake.commands.output import cell, table

_COLUMNS = (">docs/s", ">tokens/s", ">GFLOP/s", ">1 text, ms", ">ready, s", ">peak MB", ">labels", ">topics", ">max Δp",
            "precision")  # fmt: skip


def tables(document: Mapping[str, Any], models: tuple[str, ...] = ("shipped", "base")) -> list[Table]:
    """A table of contenders for each checkpoint, and one of variants where they were measured."""
    made = []
    for name in (model for model in models if model in document):
        facts = document[name]
        title = (
            f"{name}: {facts['documents']:,} texts of {facts['mean_tokens']:.0f} tokens, {document['rounds']} rounds"
        )
        peers = table(title, "contender", *_COLUMNS, ">engine is")
        _row(peers, "newsquake", facts, "")
        for peer, figures in document["peers"][name].items():
            _row(peers, peer, figures, _times(figures.get("ratio")))
        made.append(peers)
        if name in document.get("ablation", {}):
            steps = table(f"{name}: the engine, step by step", "variant", *_COLUMNS, ">speed")
            for variant, figures in document["ablation"][name].items():
                _row(steps, variant, figures, _times(figures.get("ratio")))
            made.append(steps)
    return made


def remarks(document: Mapping[str, Any], models: tuple[str, ...] = ("shipped", "base")) -> list[str]:
    """What does not fit a column: the machine, ceilings, and why a contender is not there."""
    lines = [" · ".join(f"{name} {value}" for name, value in document["machine"].items())]
    for name in (model for model in models if model in document):
        facts = document[name]
        if "ceiling_share" in facts:
            ways = ", ".join(f"{way} {rate:,.0f}" for way, rate in facts["ceilings"].items())
            lines.append(
                f"{name}: the engine does {facts['executed_gflops']:,.0f} GFLOP/s of multiplications that it needs, "
                f"{facts['ceiling_share']:.0%} of torch's plain products and {facts['best_ceiling_share']:.0%} of the "
                f"best ones (GFLOP/s: {ways})"
            )
        out = document["peers"][name] | document.get("ablation", {}).get(name, {})
        lines += [
            f"{name}: {who} was not measured: {figures['unavailable']}"
            for who, figures in out.items()
            if "unavailable" in figures
        ]
    return lines


def _row(made: Table, name: str, figures: Mapping[str, Any], ratio: str) -> None:
    if "unavailable" in figures:
        made.add_row(cell(name), *("–" for _ in _COLUMNS), "–")
        return
    topic = figures["topic_agreement"]
    made.add_row(
        cell(name),
        f"{figures['docs_per_s']:,.0f}",
        f"{figures['tokens_per_s']:,.0f}",
        f"{figures['gflops']:,.0f}",
        f"{figures['single_ms']:.1f}",
        f"{figures['ready_s']:.1f}",
        f"{figures['peak_mb']:,.0f}",
        f"{figures['label_agreement']:.2%}",
        "–" if topic is None else f"{topic:.2%}",
        f"{figures['max_dp']:.4f}",
        figures["precision"],
        ratio,
    )


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f} x"
