"""A backtest from files to a report: read, score what is new, fill a private database, evaluate, judge."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy import Engine

from alerts.backtest import backtest
from alerts.rules import DEFAULT, Rule
from alerts.series import MINUTE
from alerts.settings import AlertsSettings
from models.checkpoint import read_checkpoint
from models.settings import ModelsSettings
from newsquake.backtest.database import fill, private_database
from newsquake.backtest.labels import Window
from newsquake.backtest.outcome import Alert, Verdict, alerts_of, judge
from newsquake.backtest.score_cache import ScoreCache
from newsquake.backtest.scoring import Contents, score_missing, scored, unscored
from newsquake.errors import NewsquakeError

_DAYS_A_WEEK = 7


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest says; times are UTC. `weeks` are the days with documents, in weeks.

    `seconds` are those that each step took. `verdict` is None without labels.
    """

    model: str
    documents: int
    negative: int
    rejected: int
    rejections: list[str]
    newly_scored: int
    start: datetime
    end: datetime
    weeks: float
    alerts: list[Alert]
    alerts_per_week: float
    verdict: Verdict | None
    seconds: dict[str, float]


class Bar(Protocol):
    """Opens a progress bar over `total` of something and gives what moves it on."""

    def __call__(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


def run(
    contents: Contents,
    *,
    windows: Sequence[Window] | None,
    cache: Path,
    models: ModelsSettings,
    alerts: AlertsSettings,
    rules: Sequence[Rule] = (DEFAULT,),
    bar: Bar,
    then: Callable[[Engine, "Report"], None] = lambda engine, report: None,
) -> Report:
    """Evaluate what files hold by the production settings, rules and code; `then` may read the database before it goes.

    Raises:
        NewsquakeError: there is nothing to evaluate, or a part failed.
        ModelError: the classifier cannot be loaded.
    """
    if not contents.entries:
        reason = f"; {contents.rejections[0]}" if contents.rejections else ""
        raise NewsquakeError(f"the files hold no valid message{reason}")
    seconds: dict[str, float] = {}
    scores = ScoreCache(cache, read_checkpoint(models.checkpoint).model_id, models.max_tokens)
    missing = unscored(contents.entries, scores)
    if missing:
        with _timed(seconds, "scoring"), bar("scoring", len(missing)) as advance:
            score_missing(missing, scores, models, advance)
    documents = list(scored(contents.entries, scores))
    start, end = documents[0].published_at, documents[-1].published_at + MINUTE
    with private_database() as engine:
        with _timed(seconds, "storing"), bar("storing", len(documents)) as advance:
            fill(engine, "backtest", documents, advance)
        with _timed(seconds, "evaluating"), bar("evaluating", (end - start) // MINUTE) as advance:
            replay = alerts.model_copy(update={"replay": True})
            changes = backtest(engine, replay, start, end, _forward(start, advance), rules)
        days = sorted({document.published_at.date() for document in documents})
        found, verdict = alerts_of(changes, rules, replay), None
        weeks = len(days) / _DAYS_A_WEEK
        if windows is not None:
            found, verdict = judge(found, windows, [datetime.combine(day, clock.min, UTC) for day in days], weeks)
        report = Report(
            model=scores.path.stem,
            documents=len(documents),
            negative=Counter(document.sentiment for document in documents)["negative"],
            rejected=contents.rejected,
            rejections=contents.rejections,
            newly_scored=len(missing),
            start=start,
            end=end,
            weeks=weeks,
            alerts=found,
            alerts_per_week=sum(bool(alert.told_at) for alert in found) / weeks,
            verdict=verdict,
            seconds=seconds,
        )
        then(engine, report)
    return report


class _timed:
    """Adds what the block takes to `seconds`."""

    def __init__(self, seconds: dict[str, float], what: str) -> None:
        self._seconds = seconds
        self._what = what

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._what] = round(time.monotonic() - self._began, 3)


def _forward(start: datetime, advance: Callable[[int], None]) -> Callable[[datetime], None]:
    """From minutes reached to minutes done since the last time."""
    reached = start

    def on_minute(minute: datetime) -> None:
        nonlocal reached
        advance(max(0, (minute - reached) // timedelta(minutes=1)))
        reached = max(reached, minute)

    return on_minute
