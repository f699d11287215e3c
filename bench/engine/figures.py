"""Pure arithmetic from measured seconds and answers to what is reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from bench.engine.place import Answers


@dataclass(slots=True)
class Timings:
    """What one contender took; rounds of all contenders stand in the same order."""

    rounds: list[float] = field(default_factory=list)
    """Seconds for the whole batch."""
    singles: list[float] = field(default_factory=list)
    """Seconds for a text alone."""


def times_as_fast(one: Sequence[float], other: Sequence[float]) -> float:
    """How many times as fast `one` is as `other`: the median of the ratios of rounds side by side."""
    return median(theirs / ours for ours, theirs in zip(one, other, strict=True))


def fastest(timings: Mapping[str, Timings]) -> str | None:
    """The name with the shortest median round, if there is any."""
    return min(timings, key=lambda name: median(timings[name].rounds), default=None)


def rates(timings: Timings, documents: int, tokens: int, work: float) -> dict[str, float]:
    """Documents, tokens and GFLOP a second over rounds, and milliseconds for a text alone."""
    seconds = median(timings.rounds)
    return {
        "docs_per_s": documents / seconds,
        "docs_per_s_low": documents / max(timings.rounds),
        "docs_per_s_high": documents / min(timings.rounds),
        "tokens_per_s": tokens / seconds,
        "gflops": work / seconds / 1e9,
        "single_ms": 1e3 * median(timings.singles),
    }


def agreement(answers: Answers, reference: Answers) -> dict[str, float | None]:
    """Shares of texts with the reference's labels, and the largest difference of any probability of either head."""
    topics = None
    differences = [np.abs(answers.sentiment - reference.sentiment).max()]
    if answers.topic is not None and reference.topic is not None:
        topics = float((answers.topic.argmax(-1) == reference.topic.argmax(-1)).mean())
        differences.append(np.abs(answers.topic - reference.topic).max())
    return {
        "label_agreement": float((answers.sentiment.argmax(-1) == reference.sentiment.argmax(-1)).mean()),
        "topic_agreement": topics,
        "max_dp": float(max(differences)),
    }


def shares(rounds: Sequence[float], work: float, ceilings: Sequence[float]) -> float:
    """Share of the ceiling that the work reaches: the median of rounds and ceilings measured side by side."""
    return median(work / seconds / 1e9 / ceiling for seconds, ceiling in zip(rounds, ceilings, strict=True))


def shares_of_classes(answers: Answers) -> dict[str, list[float]]:
    """How often each class is the answer, by head: whether predictions spread at all."""
    found = {"sentiment": answers.sentiment, "topic": answers.topic}
    return {
        head: (np.bincount(rows.argmax(-1), minlength=rows.shape[1]) / len(rows)).round(4).tolist()
        for head, rows in found.items()
        if rows is not None
    }
