"""`make demo`: two days of written news and comments through the real stack, and what must come out of it.

48 hours of event time pass in half a minute: ordinary business, a burst of good news, a spammer with 60 copies, one
story syndicated in six sources, and then a run on a bank. Exits 0 only if every message became a row and exactly one
alert fired, for the bank run; else 1 with the line that says what did not hold.
"""

import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text
from sqlalchemy import Engine, select, text

from alerts.queries import list_alerts
from newsquake.commands.output import cell, table
from newsquake.commands.publish import publish_file
from newsquake.commands.trends import read_trends, trend_table
from newsquake.errors import StackError
from newsquake.logs import set_up_logs
from newsquake.settings import StackSettings
from newsquake.stack.run import run_stack
from newsquake.stack.stack import Stack
from pipeline.settings import PipelineSettings
from storage.engine import open_engine
from storage.tables import alert_cursor, alert_events, documents, notifications

HERE = Path(__file__).parent
STREAM = HERE / "stream.jsonl"
DATA_DIR = HERE.parent / ".newsquake" / "demo"
SPEED = 48 * 3600 / 30  # two days in half a minute
PATIENCE = 120.0  # seconds for the last message to be stored and judged
RUN_BEGINS = datetime(2026, 3, 11, 10, tzinfo=UTC)
RUN_ENDS = datetime(2026, 3, 11, 18, tzinfo=UTC)

QUERIES = (
    (
        "What is the mood now, topic by topic?",
        "SELECT topic, n, negative, negative_share, mean_score FROM topic_now ORDER BY negative DESC LIMIT 4",
    ),
    (
        "How did the run on the bank build up?",
        "SELECT bucket, sum(n) AS messages, sum(negative) AS negative FROM trend_hourly\n"
        "WHERE topic = 'financials' AND bucket >= '2026-03-11 08:00+00' GROUP BY bucket ORDER BY bucket LIMIT 8",
    ),
    (
        "What fired, and when was it over?",
        "SELECT alert_id, topic, opened_at, resolved_at, observed, round(expected::numeric, 1) AS expected FROM alerts",
    ),
)


class Failed(Exception):
    """Something that the demo promises does not hold."""


class Demo:
    """What happens while the stack runs, and what is shown of it afterwards."""

    def __init__(self) -> None:
        self.report: list[Any] = []

    def run(self, stack: Stack) -> int:
        """Publish, wait, check; returns 0 or raises `Failed`."""
        rows = sum(1 for line in STREAM.open("rb") if line.strip())
        stack.say(f"Replaying {rows:,} messages, English and Chinese: 48 hours in {48 * 3600 / SPEED:.0f} s …")
        settings = PipelineSettings(broker=stack.broker)
        published = publish_file(settings, STREAM, speed=SPEED, stop=stack.stopping)
        if published.delivered != rows:
            raise Failed(f"{published.delivered:,} of {rows:,} messages were delivered to Kafka")
        engine = open_engine(stack.storage, application="newsquake-demo")
        self._wait(stack, lambda: stored(engine) >= rows, f"not all of {rows:,} messages were stored")
        self._wait(stack, lambda: judged(engine), "the stored minutes were not all evaluated")
        self._wait(stack, lambda: delivered(engine), "the alert was not delivered")
        self.check(engine, rows)
        self.show(engine)
        engine.dispose()
        return 0

    def _wait(self, stack: Stack, holds: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if stack.stopping.wait(0.2):
                raise Failed("interrupted")
            if time.monotonic() > deadline:
                raise Failed(otherwise)

    def check(self, engine: Engine, rows: int) -> None:
        """Messages in = rows out, and one alert for the one thing that deserves it."""
        if stored(engine) != rows:
            raise Failed(f"{rows:,} messages went in, {stored(engine):,} rows came out")
        found = list_alerts(engine, limit=100, state=None)
        if len(found) != 1:
            seen = ", ".join(f"{alert['topic']} at {alert['opened_at']:%d %H:%M}" for alert in found) or "none"
            raise Failed(f"one alert was due, {len(found)} fired: {seen}")
        alert = found[0]
        topics = {alert["topic"], *(member["topic"] for member in alert["members"])}
        if not RUN_BEGINS <= alert["opened_at"] < RUN_ENDS or "financials" not in topics:
            raise Failed(f"the alert is about {', '.join(sorted(topics))} at {alert['opened_at']}, not the bank run")

    def show(self, engine: Engine) -> None:
        """Collect what is printed once the stack is down."""
        first = (
            select(notifications.c.title, notifications.c.body)
            .join(alert_events, alert_events.c.event_id == notifications.c.event_id)
            .where(alert_events.c.kind == "fired")
        )
        with engine.connect() as connection:
            title, body = connection.execute(first).one()
            self.report.append(Panel(Text(body), title=Text(title), title_align="left", border_style="red"))
            window, found = read_trends(engine, since="48h", buckets=48)
            assert window is not None
            self.report.append(trend_table(found, window))
            for number, (question, query) in enumerate(QUERIES, 1):
                result = connection.execute(text(query))
                made = table(f"{number}. {question}", *(f">{name}" for name in result.keys()))
                for row in result:
                    made.add_row(*(cell(shown(value)) for value in row))
                self.report += [Text(query, style="cyan"), made]


def stored(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM documents")).scalar_one())


def judged(engine: Engine) -> bool:
    """Whether evaluation has passed the newest minute."""
    with engine.connect() as connection:
        cursor = connection.execute(select(alert_cursor.c.next_minute)).scalar_one_or_none()
        newest = connection.execute(select(documents.c.published_at).order_by(documents.c.published_at.desc()).limit(1))
        last: datetime = newest.scalar_one()
        return cursor is not None and cursor > last - timedelta(minutes=1)


def delivered(engine: Engine) -> bool:
    """Whether nothing waits in the outbox."""
    with engine.connect() as connection:
        pending = text("SELECT count(*) FROM notifications WHERE state = 'pending'")
        return int(connection.execute(pending).scalar_one()) == 0


def shown(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else "–" if value is None else str(value)


def main() -> int:
    set_up_logs()
    console = Console(width=None if sys.stdout.isatty() else 140)
    shutil.rmtree(DATA_DIR, ignore_errors=True)
    demo = Demo()
    began = time.monotonic()
    try:
        code = run_stack(StackSettings(data_dir=DATA_DIR), replay=True, while_up=demo.run)
    except (Failed, StackError) as error:
        console.print(f"newsquake demo: {error}", style="bold red", markup=False)
        return 1
    if code:
        return code
    for part in demo.report:
        console.print(part)
    data = DATA_DIR.relative_to(HERE.parent)
    console.print(f"\nAll of it held, in {time.monotonic() - began:.0f} s. To look around:", style="green")
    for line in (
        f"  NEWSQUAKE_DATA_DIR={data} NEWSQUAKE_POSTGRES_PORT=54329 make up",
        "  psql postgresql://postgres@127.0.0.1:54329/newsquake     (in another terminal; `make up` names a psql)",
        "To watch it slowly: make up ARGS='--replay demo/stream.jsonl --speed 600'",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
