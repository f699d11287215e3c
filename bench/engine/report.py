"""From what was found to one JSON document and to tables for people."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from bench.engine.figures import fastest, shares, times_as_fast
from bench.engine.measure import Found
from bench.engine.peers import OURS, PIPELINE

PLACES = {"docs_per_s": 1, "docs_per_s_low": 1, "docs_per_s_high": 1, "tokens_per_s": 0, "gflops": 1, "single_ms": 2,
          "peak_mb": 0, "resident_mb": 0, "ready_s": 2, "max_dp": 5}  # fmt: skip
"""Decimal places that a figure is worth; four for what is not named."""


def model_document(found: Found) -> dict[str, Any]:
    """What is reported of one checkpoint, for the engine.

    `ratio_pipeline` and `ratio_best_peer` are medians of the ratios within each round.
    """
    ours, others = found.timings[OURS], {name: of for name, of in found.timings.items() if name != OURS}
    best = fastest(others)
    ratios = {name: times_as_fast(ours.rounds, of.rounds) for name, of in others.items()}
    return rounded(
        found.figures[OURS]
        | {
            "ratio_pipeline": ratios.get(PIPELINE),
            "ratio_best_peer": ratios[best] if best else None,
            "best_peer": best,
        }
        | _ceilings(found)
        | {
            "documents": len(found.tokens),
            "mean_tokens": sum(found.tokens) / len(found.tokens),
            "longest_tokens": max(found.tokens),
            "classes": found.classes,
        }
    )


def peers_document(found: Found) -> dict[str, Any]:
    """What is reported of one checkpoint, for each peer: its figures, and how many times as fast the engine is."""
    measured = {
        name: rounded(found.figures[name] | {"ratio": times_as_fast(found.timings[OURS].rounds, of.rounds)})
        for name, of in found.timings.items()
        if name != OURS
    }
    return measured | {name: {"unavailable": reason} for name, reason in found.unavailable.items()}


def _ceilings(found: Found) -> dict[str, Any]:
    """Shares of two ceilings: torch's own products in the best precision, and the best of all ways."""
    if not found.ceilings:
        return {}
    tokens, documents = sum(found.tokens), len(found.tokens)
    work, seconds = found.shape.pruned(tokens, documents), found.timings[OURS].rounds
    usual = [next(rate for way, rate in round_.items() if way.startswith("torch")) for round_ in found.ceilings]
    best = [max(round_.values()) for round_ in found.ceilings]
    return {
        "executed_gflops": median(work / taken / 1e9 for taken in seconds),
        "ceiling_gflops": median(usual),
        "ceiling_share": shares(seconds, work, usual),
        "best_ceiling_gflops": median(best),
        "best_ceiling_share": shares(seconds, work, best),
        "ceilings": {way: round(median(round_[way] for round_ in found.ceilings), 1) for way in found.ceilings[0]},
    }


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The same figures to the places that they are worth."""
    return {
        name: round(value, PLACES.get(name, 1 if name.endswith("gflops") else 4)) if isinstance(value, float) else value
        for name, value in figures.items()
    }
