"""What people see while the stack runs: events as lines, and below them one line of figures.

On a terminal the figures are renewed each second in place; elsewhere they are a line every ten seconds.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from storage.tables import alerts, sentiment_minute, stream_progress

_BEHIND = func.greatest(stream_progress.c.end_offset - stream_progress.c.next_offset, 0)
_QUERY = select(
    select(func.coalesce(func.sum(sentiment_minute.c.n), 0)).scalar_subquery().label("documents"),
    select(func.coalesce(func.sum(_BEHIND), 0)).scalar_subquery().label("lag"),
    select(func.count()).select_from(alerts).where(alerts.c.state != "resolved").scalar_subquery().label("open_alerts"),
)
_RATE_SECONDS = 10.0
_PLAIN_SECONDS = 10.0
# A long history makes the sum slow; at most this share of the time goes into it.
_QUERY_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Figures:
    """What the database says: documents stored, messages not stored yet, alerts open."""

    documents: int
    lag: int
    open_alerts: int


def read_figures(engine: Engine) -> Figures | None:
    """The figures now, None while the database does not answer."""
    try:
        with engine.connect() as connection:
            row = connection.execute(_QUERY).one()
    except SQLAlchemyError:
        return None
    return Figures(int(row.documents), int(row.lag), int(row.open_alerts))


class Rate:
    """Documents per second over the last ten seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, at: float, documents: int) -> float:
        """The rate with one more reading (`at` in seconds of any steady clock)."""
        self._seen.append((at, documents))
        while len(self._seen) > 2 and at - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return max(0.0, (documents - before) / (at - since)) if at > since else 0.0


def status_line(uptime: float, figures: Figures | None, rate: float, parts: str) -> str:
    """One line: `up 0:01:05 · 1,234 documents · 56/s · lag 0 · 2 open alerts · worker 4711, scheduler 4712`."""
    minutes, seconds = divmod(int(uptime), 60)
    up = f"up {minutes // 60}:{minutes % 60:02}:{seconds:02}"
    if figures is None:
        return f"{up} · the database does not answer · {parts}"
    noun = "alert" if figures.open_alerts == 1 else "alerts"
    stored = f"{figures.documents:,} documents · {rate:,.0f}/s · lag {figures.lag:,}"
    return f"{up} · {stored} · {figures.open_alerts} open {noun} · {parts}"


class Ticker:
    """Reads the figures in a thread of its own about once a second, less often where that is slow."""

    def __init__(self, engine: Engine) -> None:
        self.figures: Figures | None = None
        self.per_second = 0.0
        self.has_read = False
        self._engine = engine
        self._rate = Rate()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="figures", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Read no more; a reading under way is not waited for."""
        self._closing.set()

    def _run(self) -> None:
        pause = 0.0
        while not self._closing.wait(pause):
            began = time.monotonic()
            self.figures = read_figures(self._engine)
            took = time.monotonic() - began
            if self.figures:
                self.per_second = self._rate.add(began, self.figures.documents)
            self.has_read = True
            pause = max(1.0, took / _QUERY_SHARE)


class Screen:
    """The terminal, or what stands in its place; used from one thread only."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(soft_wrap=True, highlight=False, markup=False)
        self._live: Live | None = None
        self._printed = float("-inf")
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take the figures away; events may still be said."""
        if self._live:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """Print an event above the figures."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, line: str, at: float) -> None:
        """Renew the figures; `at` is in seconds of any steady clock."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, transient=True, auto_refresh=False)
                self._live.start()
            if line != self._shown:
                self._shown = line
                self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        elif at - self._printed >= _PLAIN_SECONDS:
            self._printed = at
            self.say(line)
