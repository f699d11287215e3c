"""The document of a run as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from newsquake.commands.output import cell, table

_SHARE, _PER_WORKER, _P99_MS = 0.85, 8_000, 500
_ROWS = {
    "raw_consumer": "raw aiokafka",
    "writer_alone": "writer alone",
    "engine_alone": "engine alone",
    "plumbing": "plumbing alone",
    "end_to_end": "end to end",
}


def tables(document: Mapping[str, Any]) -> list[Table]:
    """What each part does in a second, and the goals."""
    title = f"{document['messages']:,} messages waiting, {document['broker']}, {document['workers']} worker(s)"
    columns = (">documents/s", ">of the engine", ">seconds", ">ready, s", ">a batch", ">peak MB")
    parts = table(title, "part", *columns, "processor seconds")
    engine = document.get("engine_alone", {}).get("docs_per_s")
    for name, shown in _ROWS.items():
        if name in document:
            figures = document[name]
            parts.add_row(
                shown,
                f"{figures['docs_per_s']:,.0f}",
                f"{figures['docs_per_s'] / engine:.2f} x" if engine else "–",
                f"{figures['seconds']:.2f}",
                _optional(figures.get("ready_s"), ".1f"),
                _optional(document["messages"] / figures["batches"] if "batches" in figures else None, ",.0f"),
                _optional(figures.get("peak_mb"), ",.0f"),
                cell(" ".join(f"{part} {seconds:.1f}" for part, seconds in figures.get("cpu_s", {}).items())),
            )
    return [parts, _goals(document)]


def _goals(document: Mapping[str, Any]) -> Table:
    made = table("goals", "goal", ">measured", ">goal is", "")
    if "share_of_engine" in document:
        share = document["share_of_engine"]
        made.add_row("end to end, share of the engine alone", f"{share:.1%}", f">= {_SHARE:.0%}", _met(share >= _SHARE))
    if "plumbing" in document:
        rate = document["plumbing"]["docs_per_s_per_worker"]
        made.add_row(
            "plumbing, documents/s per worker", f"{rate:,.0f}", f">= {_PER_WORKER:,}", _met(rate >= _PER_WORKER)
        )
    if "latency_ms" in document:
        p99 = document["latency_ms"]["p99"]
        made.add_row(
            "publish to visible row at half load, p99 in ms", f"{p99:,.0f}", f"<= {_P99_MS}", _met(p99 <= _P99_MS)
        )
    return made


def remarks(document: Mapping[str, Any]) -> list[str]:
    """What does not fit a column: the machine, the texts, latency."""
    texts = document["texts"]
    lines = [
        " · ".join(f"{name} {value}" for name, value in document["machine"].items()),
        f"{texts['distinct']:,} different texts of {texts['source']}, {texts['mean_bytes']:.0f} bytes a message",
    ]
    if "latency_ms" in document:
        found = document["latency_ms"]
        lines.append(
            f"publish to visible row at {found['rate_per_s']:,.0f} messages/s: p50 {found['p50']:.0f} ms, "
            f"p95 {found['p95']:.0f}, p99 {found['p99']:.0f}, at most {found['max']:.0f}, of {found['messages']:,}; "
            f"looked every {found['poll_ms']:.1f} ms, published at most {found['behind_ms']:.0f} ms late"
        )
    return lines


def _optional(value: float | None, shape: str) -> str:
    return "–" if value is None else format(value, shape)


def _met(reached: bool) -> str:
    return "met" if reached else "missed"
