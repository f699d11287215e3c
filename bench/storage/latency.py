"""How long an answer takes: from the call in Python until all rows are there, as the role that people connect as."""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Engine, text

from bench.engine.rounds import Watch
from bench.storage.questions import Period, Question

_ROLE = text("SET LOCAL ROLE newsquake_reader")


@dataclass(frozen=True, slots=True)
class Answered:
    """How long one question took over all its calls, in milliseconds."""

    view: str
    asks: str
    p50_ms: float
    p95_ms: float
    max_ms: float
    rows: float
    """Mean of rows in an answer."""
    calls: int


def ask(
    engine: Engine, questions: Sequence[Question], period: Period, *, calls: int, watch: Watch, warm_up: int = 10
) -> list[Answered]:
    """Every question `calls` times, after `warm_up` calls that are not counted; questions take turns."""
    chance = random.Random(20260310)
    times: list[list[float]] = [[] for _ in questions]
    rows = [0] * len(questions)
    for number in range(warm_up + calls):
        watch("queries", number, warm_up + calls)
        for at, question in enumerate(questions):
            took, returned = _once(engine, question, chance, period)
            if number >= warm_up:
                times[at].append(took * 1000)
                rows[at] += returned
    watch("queries", warm_up + calls, warm_up + calls)
    return [
        Answered(
            question.view, question.asks, statistics.median(took), p95(took), max(took), returned / calls, len(took)
        )
        for question, took, returned in zip(questions, times, rows, strict=True)
    ]


def _once(engine: Engine, question: Question, chance: random.Random, period: Period) -> tuple[float, int]:
    with engine.begin() as connection:
        connection.execute(_ROLE)
        parameters = question.draw(chance, period)
        began = time.perf_counter()
        found = connection.execute(text(question.sql), parameters).all()
        return time.perf_counter() - began, len(found)


def p95(times: Sequence[float]) -> float:
    """The time that 95 of 100 calls keep to; of fewer than 20 the slowest."""
    return sorted(times)[-1 - len(times) // 20] if times else float("nan")


def worst_by_view(answered: Sequence[Answered]) -> dict[str, float]:
    """The 95th percentile of each view's slowest question."""
    found: dict[str, float] = {}
    for one in answered:
        found[one.view] = max(one.p95_ms, found.get(one.view, 0))
    return found


def fields(answered: Sequence[Answered]) -> list[dict[str, object]]:
    """For the JSON document."""
    return [asdict(one) for one in answered]
