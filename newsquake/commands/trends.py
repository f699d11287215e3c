"""`newsquake trends`: sentiment by topic with sparklines and charts, as a picture, or as JSON."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from newsquake.commands.charts import chart, sparkline
from newsquake.commands.output import AsJson, cell, print_json, show, table
from newsquake.commands.publish import StreamName

if TYPE_CHECKING:
    from rich.table import Table

    from storage.trends import Trend

__all__ = ["parse_since", "read_trends", "sparkline", "trend_table", "trends"]

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_since(value: str, *, newest: datetime, option: str = "--since") -> datetime:
    """A span before the newest stored minute (`90m`, `24h`, `7d`) or an ISO time (UTC unless it says otherwise)."""
    span = re.fullmatch(r"(\d+)([mhdw])", value)
    try:
        if span:
            return newest + timedelta(minutes=1) - timedelta(**{_UNITS[span[2]]: int(span[1])})
        at = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        hint = "a span such as 90m, 24h or 7d, or a time such as 2026-03-11T10:00"
        raise typer.BadParameter(f"{value!r} is not {hint}", param_hint=option) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def trends(
    topic: Annotated[list[str] | None, typer.Option(help="Only this topic; may be given again.")] = None,
    since: Annotated[str, typer.Option(help="Span before the newest stored minute, or a time.")] = "24h",
    stream: Annotated[StreamName | None, typer.Option(help="Only this stream.")] = None,
    lang: Annotated[str | None, typer.Option(help="Only this language: en, zh, …")] = None,
    buckets: Annotated[int, typer.Option(min=1, max=200, help="Bars of a sparkline or chart.")] = 24,
    charts: Annotated[
        bool | None, typer.Option("--chart/--no-chart", help="Charts under the table; for a single topic by default.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw into this .png, .svg or .pdf, too; needs the extra `plot`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sentiment by topic over event time, with a sparkline of the negative messages, charts and pictures."""
    from storage.engine import open_engine
    from storage.settings import StorageSettings

    _check_plot(plot)
    engine = open_engine(StorageSettings(), application="newsquake trends")
    window, found = read_trends(
        engine, since=since, buckets=buckets, topics=topic or [], stream=stream and stream.value, lang=lang
    )
    if as_json:
        document = [_fields(trend) for trend in found]
        print_json({"since": window and window[0], "until": window and window[1], "trends": document})
    elif window is None:
        typer.echo("nothing is stored yet")
    else:
        show(trend_table(found, window))
        for trend in found if charts or (charts is None and len(found) == 1) else []:
            for line in trend_chart(trend, window, bucket_width(window, buckets)):
                typer.echo(line)
    if plot and window and found:
        from newsquake.plots import plot_trends

        plot_trends(found, window, bucket_width(window, buckets), plot)
        typer.echo(f"drawn into {plot}", err=True)


def _check_plot(path: Path | None) -> None:
    """Before anything is read: whether it can be drawn."""
    if path:
        from newsquake.plots import FORMATS, need_matplotlib

        if path.suffix.lstrip(".").lower() not in FORMATS:
            raise typer.BadParameter(f"{path} ends in none of .{', .'.join(FORMATS)}", param_hint="--plot")
        need_matplotlib()


def bucket_width(window: tuple[datetime, datetime], buckets: int) -> timedelta:
    """Whole minutes, at least one, so that about so many buckets fill the window."""
    width = max(timedelta(minutes=1), -(-(window[1] - window[0]) // buckets))
    return timedelta(minutes=-(-width // timedelta(minutes=1)))


def read_trends(
    engine: object,
    *,
    since: str = "24h",
    buckets: int = 24,
    topics: Sequence[str] = (),
    stream: str | None = None,
    lang: str | None = None,
) -> "tuple[tuple[datetime, datetime] | None, list[Trend]]":
    """The window and the trends in it; no window where nothing is stored. Raises a `StorageError`."""
    from sqlalchemy import Engine
    from sqlalchemy.exc import DBAPIError

    from storage import migrate
    from storage.faults import meaning
    from storage.trends import newest_minute
    from storage.trends import trends as query

    assert isinstance(engine, Engine)
    migrate.check(engine)
    try:
        with engine.connect() as connection:
            newest = newest_minute(connection)
            if newest is None:
                return None, []
            start, end = parse_since(since, newest=newest), newest + timedelta(minutes=1)
            width = bucket_width((start, end), buckets)
            found = query(connection, since=start, until=end, bucket=width, topics=topics, stream=stream, lang=lang)
            return (start, end), found
    except DBAPIError as error:
        raise meaning(error) or error from error


def trend_table(found: "Sequence[Trend]", window: tuple[datetime, datetime]) -> "Table":
    """The trends as a table; the sparkline counts negative messages."""
    title = f"{window[0]:%Y-%m-%d %H:%M} to {window[1]:%Y-%m-%d %H:%M} UTC (event time)"
    made = table(
        title, "topic", ">messages", ">negative", ">neutral", ">positive", ">neg. share", ">score", "negatives"
    )
    for trend in found:
        colour = "red" if trend.mean_score < -0.1 else "green" if trend.mean_score > 0.1 else "default"
        made.add_row(
            cell(trend.topic),
            f"{trend.n:,}",
            f"{trend.negative:,}",
            f"{trend.neutral:,}",
            f"{trend.positive:,}",
            f"{trend.negative_share:.0%}",
            f"[{colour}]{trend.mean_score:+.2f}[/]",
            sparkline(trend.negative_by_bucket),
        )
    return made


def trend_chart(trend: "Trend", window: tuple[datetime, datetime], step: timedelta) -> list[str]:
    """Negative messages and their share over time, one chart above the other; an empty bucket has no bar."""
    shares = [
        negative / n if n else 0.0 for n, negative in zip(trend.n_by_bucket, trend.negative_by_bucket, strict=True)
    ]
    name = "".join(character if character.isprintable() else " " for character in trend.topic)
    return [
        "",
        f"{name}: negative messages",
        *chart(trend.negative_by_bucket, window[0], step, form=",.0f"),
        f"{name}: share of negative messages",
        *chart(shares, window[0], step, form=".0%"),
    ]


def _fields(trend: "Trend") -> dict[str, object]:
    from dataclasses import asdict

    return asdict(trend)
