"""The documents of both runs as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from newsquake.commands.output import table

SLOPE_MB, GROWTH_MB = 1.0, 100.0


def soak_tables(document: Mapping[str, Any]) -> list[Table]:
    """What a worker held, and the goals."""
    title = (
        f"{document['seconds'] / 60:.1f} minutes, {document['docs']:,} documents, "
        f"{document['docs_per_s']:,.0f}/s, {document['broker']}, {document['workers']} worker(s)"
    )
    made = table(title, "after the warm-up", ">first", ">last", ">most", ">growth")
    memory = document["memory"]
    slope = f"{memory['slope_mb_per_min']:+.2f} a minute"
    made.add_row("memory, MB", *(f"{memory[f'{name}_mb']:,.1f}" for name in ("start", "end", "peak")), slope)
    for name, shown in (
        ("connections", "connections to PostgreSQL"),
        ("idle_connections", "of them idle"),
        ("fds", "open files"),
        ("threads", "threads"),
    ):
        found = document[name]
        made.add_row(shown, str(found["first"]), str(found["last"]), str(found["max"]), f"{found['growth']:+}")
    goals = _goals()
    goals.add_row(
        "memory after the warm-up, MB a minute",
        f"{memory['slope_mb_per_min']:+.2f}",
        f"< {SLOPE_MB:g}",
        _met(memory["slope_mb_per_min"] < SLOPE_MB),
    )
    idle = document["idle_connections"]["growth"]
    goals.add_row("growth of idle connections", f"{idle:+}", "<= 0", _met(idle <= 0))
    return [made, goals]


def soak_remarks(document: Mapping[str, Any]) -> list[str]:
    """What does not fit a column."""
    return [
        *(["stopped early: these are the figures so far"] if document["ended_early"] else []),
        f"{document['published']:,} ids published and stored once; {document['lag']['min']:,} to "
        f"{document['lag']['max']:,} messages waited; the first {document['warm_up_s']:.0f} s are not counted",
        *_circumstances(document),
    ]


def backlog_tables(document: Mapping[str, Any]) -> list[Table]:
    """What each worker held, and the goal."""
    title = f"{document['messages']:,} messages waiting, {document['seconds']:g} s from the first commit on"
    made = table(title, "worker before", ">first, MB", ">most, MB", ">growth, MB", ">stored", ">left")
    named = {
        "waiting": f"{document['messages']:,} messages",
        "empty": "hardly any",
        "plumbing": "the same, without a model",
        "control": "the same, and hoarding",
    }
    for name, shown in named.items():
        if name in document:
            found = document[name]
            held = (f"{found[key]:,.1f}" for key in ("first_mb", "peak_mb", "growth_mb"))
            made.add_row(shown, *held, f"{found['docs']:,}", f"{found['left']:,}")
    goals = _goals()
    for part, shown in (("waiting", "growth"), ("plumbing", "growth without a model")):
        if part in document:
            growth = document[part]["growth_mb"]
            goals.add_row(f"{shown}, MB", f"{growth:,.1f}", f"< {GROWTH_MB:g}", _met(growth < GROWTH_MB))
    if "control" in document:
        growth = document["control"]["growth_mb"]
        goals.add_row(
            "growth of a worker that hoards, MB", f"{growth:,.1f}", f">= {GROWTH_MB:g}", _met(growth >= GROWTH_MB)
        )
    return [made, goals]


def backlog_remarks(document: Mapping[str, Any]) -> list[str]:
    """What does not fit a column."""
    return [
        f"at most {document['against_empty_mb']:+,.1f} MB against the worker before hardly any; "
        f"published at {document['published_per_s']:,.0f} messages/s",
        *_circumstances(document),
    ]


def _circumstances(document: Mapping[str, Any]) -> list[str]:
    return [
        f"texts of {document['texts']}, {document['mean_bytes']:.0f} bytes a message, {document['broker']}",
        " · ".join(f"{name} {value}" for name, value in document["machine"].items()),
    ]


def _goals() -> Table:
    return table("goals", "goal", ">measured", ">goal is", "")


def _met(reached: bool) -> str:
    return "met" if reached else "missed"
