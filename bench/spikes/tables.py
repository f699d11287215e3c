"""The document of a run as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from newsquake.commands.output import cell, table

_GOAL, _GOAL_DELAY_MIN, _GOAL_MINUTE_MS = 85, 15, 200


def tables(document: Mapping[str, Any]) -> list[Table]:
    """Scores by detector, the trade-off of the generated series, and what a minute costs."""
    made = [_scores(document["nab"])] if "nab" in document else []
    made += [_curves(document["synthetic"]), _alerts(document["synthetic"])] if "synthetic" in document else []
    return [*made, _evaluation(document["evaluation"])] if "evaluation" in document else made


def _scores(found: Mapping[str, Any]) -> Table:
    names = [cell(name) for name in found["series"]]
    title = "Numenta Anomaly Benchmark's rules, standard profile, 0..100"
    made = table(title, "detector", ">all", ">windows found", ">false rows", ">left out", *(f">{n}" for n in names))
    for name, one in found["detectors"].items():
        apart = "–" if one["left_out"] is None else f"{one['left_out']:.1f}"
        of_each = (f"{own['score']:.1f}" for own in one["by_series"].values())
        windows = f"{one['found']} of {one['windows']}"
        made.add_row(name, f"{one['score']:.1f}", windows, f"{one['false_rows']}", apart, *of_each)
    return made


def _curves(found: Mapping[str, Any]) -> Table:
    title = f"minutes until half of the rises ({found['rise']:g} x) are told, by false alerts a month of 100 series"
    points = next(iter(found["curves"].values()))
    made = table(title, "detector", *(f">{point['false_alerts_allowed']:,}" for point in points))
    for name, curve in found["curves"].items():
        delays = (point["median_delay_min"] for point in curve)
        made.add_row(name, *("never" if delay is None else f"{delay:.0f}" for delay in delays))
    return made


def _alerts(found: Mapping[str, Any]) -> Table:
    title = "the alerts themselves on the same series as topics"
    made = table(
        title, ">level", ">false alerts a month of 100 series", ">rise", ">told", ">minutes until half are told"
    )
    for one in found["alerts"]:
        delay = one["median_delay_min"]
        made.add_row(
            f"{one['false_alarm_rate']:g}",
            f"{one['false_alerts']:.1f}",
            f"{one['rise']:g} x",
            f"{one['told']:.0%}",
            "never" if delay is None else f"{delay:.0f}",
        )
    return made


def _evaluation(found: Mapping[str, Any]) -> Table:
    made = table(
        f"one minute's evaluation of {found['series']:,} series", "minute", ">median ms", ">lowest", ">highest"
    )
    for kind in ("quiet", "busy", "full_hour"):
        made.add_row(kind, *(f"{found[kind][name]:.0f}" for name in ("median_ms", "lowest_ms", "highest_ms")))
    return made


def remarks(document: Mapping[str, Any]) -> list[str]:
    """What does not fit a column."""
    lines = [" · ".join(f"{name} {value}" for name, value in document["machine"].items())]
    if "nab" in document:
        reached = document["nab"]["detectors"]["newsquake"]["score"]
        lines.append(f"goal of {_GOAL} on the labelled series: {_met(reached >= _GOAL)} ({reached:.1f})")
        lines.append("left out: each series at the threshold that is best for the others")
    if "synthetic" in document:
        found = document["synthetic"]
        delays = (found["curves"][own][-1]["median_delay_min"] for own in ("newsquake", "newsquake_surprise"))
        soon = any(delay is not None and delay <= _GOAL_DELAY_MIN for delay in delays)
        lines.append(f"goal of {_GOAL_DELAY_MIN} minutes at 1 false alert a month of 100 series: {_met(soon)}")
        lines.append(f"{found['rises']} rises in {found['series']} series; cusum_known is told rates and rise")
        if found["months"] < 100:
            lines.append(
                f"{found['months']:.0f} months of series: where one false alert of 100 is allowed, there is none"
            )
        if "river_gaussian" not in found["curves"]:
            lines.append("not installed, so left out: river")
    if "evaluation" in document:
        slowest = max(document["evaluation"][kind]["median_ms"] for kind in ("quiet", "busy", "full_hour"))
        lines.append(f"goal of {_GOAL_MINUTE_MS} ms a minute: {_met(slowest <= _GOAL_MINUTE_MS)}")
    return lines


def _met(reached: bool) -> str:
    return "met" if reached else "missed"
