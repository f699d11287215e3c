"""`newsquake publish`: messages into Kafka."""

import signal
import threading
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from newsquake.commands.output import AsJson, print_json
from newsquake.commands.progress import ProgressBar

if TYPE_CHECKING:
    from pipeline.publish import Report

app = typer.Typer(help="Publish messages into Kafka.", no_args_is_help=True)


class StreamName(StrEnum):
    """The two streams."""

    news = "news"
    comment = "comment"


class Rebase(StrEnum):
    """What event times can be moved to."""

    now = "now"


def parse_speed(value: str) -> float | None:
    """`max` is None; else a positive factor of event time."""
    if value == "max":
        return None
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"{value!r} is neither a positive number nor `max`", param_hint="--speed")
    return speed


@app.command("file")
def file_command(
    path: Annotated[Path, typer.Argument(help="JSONL or CSV, plain or gzip; columns as in the wire format.")],
    stream: Annotated[StreamName | None, typer.Option(help="Stream for all rows; else each row's own.")] = None,
    speed: Annotated[str, typer.Option(help="Event time against the clock: 1, 60, … or max.")] = "max",
    rebase: Annotated[Rebase | None, typer.Option(help="Move event times so that the file ends now.")] = None,
    source: Annotated[str | None, typer.Option(help="Source of rows that name none.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only rows from this event time on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only rows before this event time (UTC).")] = None,
    as_json: AsJson = False,
) -> None:
    """Publish a file: `ts` stands for `published_at`, a missing `id` becomes a content hash.

    Rows whose `ts_precision` is `day` are spread over their day. Exits 1 if Kafka did not take every valid row.
    """
    from pipeline.settings import PipelineSettings
    from pipeline.topics import check_topics

    factor = parse_speed(speed)
    settings = PipelineSettings()
    check_topics(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    report = publish_file(
        settings,
        path,
        stream=stream.value if stream else None,
        source=source,
        speed=factor,
        rebase=rebase is not None,
        window=(since and since.replace(tzinfo=UTC), until and until.replace(tzinfo=UTC)),
        stop=stop,
        progress=not as_json,
    )
    if as_json:
        print_json({"stopped": stop.is_set(), **_counts(report)})
    else:
        _tell(report)
        if stop.is_set():
            typer.echo("stopped before the end of the file", err=True)
    raise typer.Exit(1 if report.failed or stop.is_set() else 0)


def publish_file(
    settings: Any,
    path: Path,
    *,
    stream: Any = None,
    source: str | None = None,
    speed: float | None = None,
    rebase: bool = False,
    window: tuple[datetime | None, datetime | None] = (None, None),
    stop: threading.Event | None = None,
    progress: bool = False,
) -> "Report":
    """Publish `path` and return the report; raises `InvalidSource` and `BrokerUnreachable`."""
    from pipeline.pacing import rebase_shift
    from pipeline.publish import Publisher, publish
    from pipeline.sources.files import in_time_order, open_file, read_rows, within

    shift = timedelta(0)
    if rebase:
        with open_file(path) as (content, _):
            rows = within(read_rows(content, name=path.name, stream=stream, source=source), *window)
            times = [row.message.published_at for row in rows if row.message]
        if times:
            shift = rebase_shift(min(times), max(times), now=datetime.now(UTC), speed=speed)
    with open_file(path) as (content, raw), ProgressBar("publishing", shown=progress) as bar:
        total = path.stat().st_size

        def on_row(report: "Report") -> None:
            if bar.shown:
                bar.reach(raw.tell(), total)
                bar.note(told(report))

        rows = within(read_rows(content, name=path.name, stream=stream, source=source), *window)
        with Publisher(settings) as publisher:
            publish(in_time_order(rows), publisher, speed=speed, shift=shift, stop=stop, on_row=on_row)
        return publisher.report


def _counts(report: "Report") -> dict[str, object]:
    return {
        "delivered": report.delivered,
        "rejected": report.rejected,
        "failed": report.failed,
        "rejections": [{"line": line, "reason": reason} for line, reason in report.rejections],
        "failures": [{"line": line, "reason": reason} for line, reason in report.failures],
    }


def _tell(report: "Report") -> None:
    for word, quoted, total in (
        ("rejected", report.rejections, report.rejected),
        ("failed", report.failures, report.failed),
    ):
        for line, reason in quoted:
            typer.echo(f"line {line}: {word}: {reason}", err=True)
        if total > len(quoted):
            typer.echo(f"… and {total - len(quoted):,} more {word}", err=True)
    typer.echo(told(report))


def told(report: "Report") -> str:
    """How many rows ended in which way."""
    return f"{report.delivered:,} delivered, {report.rejected:,} rejected, {report.failed:,} failed"
