"""A whole run: labelled series by the benchmark's rules, with the peers, and the synthetic trade-off."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alerts.count_series import score
from alerts.spikes import Floats
from bench.engine.rounds import Watch
from bench.machine import machine
from bench.spikes import minute, nab, synthetic, topics
from bench.spikes.files import read_labelled
from bench.spikes.nab import Labelled
from bench.spikes.peers import three_sigma, windowed_gaussian

PACKAGES = ("numpy", "scipy", "river")
_WEEK_ROWS = 2_016  # a week of five minutes
DETECTORS: Mapping[str, Callable[[Labelled], Floats]] = {
    "newsquake": lambda series: score(series.seconds, series.values),
    "windowed_gaussian": lambda series: windowed_gaussian(series.values),
    "z_score": lambda series: three_sigma(series.values, _WEEK_ROWS),
}


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure."""

    series: Path | None = None
    synthetic: int = 0
    """Number of generated series; none: that part is left out."""
    watched: int = 0
    """Number of series whose evaluation is timed; none: that part is left out."""


def run(request: Request, watch: Watch) -> dict[str, Any]:
    """Measure and return the JSON document. Raises `BenchUsage` where the folder has no labelled series."""
    document: dict[str, Any] = {"machine": machine(PACKAGES)}
    if request.series is not None:
        document["nab"] = labelled(read_labelled(request.series), watch)
    if request.synthetic:
        traffic = synthetic.Traffic(series=request.synthetic)
        document["synthetic"] = synthetic.run(traffic, watch) | {"alerts": topics.run(traffic, watch)}
    if request.watched:
        document["evaluation"] = minute.run(request.watched, watch)
    return document


def labelled(series: Sequence[Labelled], watch: Watch) -> dict[str, Any]:
    """Each detector at its best threshold, by series at that one, and each series at the others' best threshold."""
    found: dict[str, Any] = {}
    for name, detector in DETECTORS.items():
        scores = []
        for number, one in enumerate(series):
            watch(name, number, len(series))
            scores.append(detector(one))
        watch(name, len(series), len(series))
        best = nab.optimise(series, scores)
        found[name] = asdict(best) | {
            "by_series": {
                one.name: asdict(nab.at_threshold([one], [own], best.threshold))
                for one, own in zip(series, scores, strict=True)
            },
            "left_out": _left_out(series, scores) if len(series) > 1 else None,
        }
    return {"series": [one.name for one in series], "rows": sum(one.values.size for one in series), "detectors": found}


def _left_out(series: Sequence[Labelled], scores: Sequence[Floats]) -> float:
    """Mean score of each series at the threshold that is best for the others, weighted by windows."""
    total = 0.0
    for number, one in enumerate(series):
        others = [index for index in range(len(series)) if index != number]
        limit = nab.optimise([series[index] for index in others], [scores[index] for index in others]).threshold
        total += nab.at_threshold([one], [scores[number]], limit).score * len(one.windows)
    return total / sum(len(one.windows) for one in series)
