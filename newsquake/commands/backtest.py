"""`newsquake alerts backtest`: what production would have alerted about over a stored stream."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from newsquake.commands.output import AsJson, cell, plain, print_json, show, table
from newsquake.commands.progress import ProgressBar
from newsquake.commands.publish import StreamName

if TYPE_CHECKING:
    from newsquake.backtest.outcome import Verdict
    from newsquake.backtest.run import Report

_TERMINATED = 143


def backtest(
    files: Annotated[
        list[Path], typer.Argument(help="JSONL or CSV, plain or gzip; columns as `newsquake publish file` takes them.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help='JSON of the times at which an alert is right: {"name": [["start", "end"], …]} or a list.'),
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="A TOML file of rules, as the scheduler takes it.")] = None,
    stream: Annotated[StreamName | None, typer.Option(help="Stream for all rows; else each row's own.")] = None,
    source: Annotated[str | None, typer.Option(help="Source of rows that name none.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for scores, so that a second run scores nothing. [~/.cache/newsquake]")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Folder for a picture of each stream; needs the extra `plot`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the production evaluation over stored messages and say what it would have alerted about.

    All files are one history, judged in event time by the settings NEWSQUAKE_ALERTS_* and by --rules. Messages are
    scored by the classifier (NEWSQUAKE_MODELS_*) once. With --labels: precision, recall, delay and false alerts a week.
    Times without an offset are UTC. Runs in a PostgreSQL of its own and leaves yours alone.
    """
    from alerts.rules import DEFAULT, parse_file
    from alerts.settings import AlertsSettings
    from models.settings import ModelsSettings
    from newsquake.backtest.labels import read_labels
    from newsquake.backtest.run import run
    from newsquake.backtest.scoring import read_files

    _check_plot(plot)
    windows = read_labels(labels) if labels else None
    judging = parse_file(rules) if rules else [DEFAULT]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    models = ModelsSettings()
    contents = read_files(files, stream=stream.value if stream else None, source=source, now=datetime.now(UTC))
    settings, drawn = AlertsSettings(), list[Path]()

    def draw(engine: Any, report: "Report") -> None:
        if plot is not None:
            from newsquake.backtest.pictures import draw_streams

            span = (report.start, report.end)
            drawn.extend(draw_streams(engine, span, report.alerts, windows or [], settings, plot))

    report = run(
        contents,
        windows=windows,
        cache=cache or models.cache_dir / "scores",
        models=models,
        alerts=settings,
        rules=judging,
        bar=partial(_bar, shown=not as_json),
        then=draw,
    )
    if as_json:
        print_json({**msgspec.to_builtins(report), "plots": [str(path) for path in drawn]})
        return
    _tell(report)
    for path in drawn:
        typer.echo(f"drawn: {path}")


def _check_plot(folder: Path | None) -> None:
    if folder is None:
        return
    from newsquake.plots import need_matplotlib

    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is a file; name a folder", param_hint="--plot")
    need_matplotlib()


@contextmanager
def _bar(what: str, total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar over `total` of something, and what moves it on."""
    done = 0

    def advance(number: int) -> None:
        nonlocal done
        done += number
        bar.reach(done)
        bar.note(f"{done:,} of {total:,}")

    with ProgressBar(what, total, shown=shown) as bar:
        yield advance


def _tell(report: "Report") -> None:
    made = table(f"{len(report.alerts)} alerts", "from (UTC)", "until (UTC)", "rule", "about", "streams", "severity",
                 "test", ">seen", ">expected", ">p", *(["label"] if report.verdict else []))  # fmt: skip
    for alert in report.alerts:
        until = alert.resolved_at
        cells = [
            f"{alert.opened_at:%Y-%m-%d %H:%M}",
            f"{until:%Y-%m-%d %H:%M}" if until else "–",
            cell(alert.rule),
            cell(alert.topic if alert.entity == "*" else alert.entity),
            cell(" ".join(alert.streams)),
            cell(alert.severity),
            f"{alert.test} {alert.window_minutes} min",
            f"{alert.observed:,}",
            f"{alert.expected:.1f}",
            f"{alert.p_value:.0e}",
        ]
        if not alert.told_at:
            cells[5] += ", not told"
        if report.verdict:
            cells.append("–" if alert.right is None else cell(alert.label or "right") if alert.right else "false")
        made.add_row(*cells)
    show(made)
    for rejection in report.rejections:
        typer.echo(f"rejected: {plain(rejection)}", err=True)
    if report.rejected > len(report.rejections):
        typer.echo(f"… and {report.rejected - len(report.rejections):,} more rejected", err=True)
    typer.echo(
        f"{report.documents:,} documents, {report.negative:,} negative, in {report.weeks:.1f} weeks from "
        f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC; "
        f"{report.alerts_per_week:.2f} alerts a week; {report.newly_scored:,} texts newly scored"
    )
    typer.echo(", ".join(f"{what} {seconds:.1f} s" for what, seconds in report.seconds.items()))
    if report.verdict:
        _tell_verdict(report.verdict)


def _tell_verdict(verdict: "Verdict") -> None:
    made = table("labelled windows", "name", "from (UTC)", "until (UTC)", "first told (UTC)", ">delay, minutes")
    for window in verdict.windows:
        told = "missed" if window.covered else "no documents"
        made.add_row(
            cell(window.name),
            f"{window.start:%Y-%m-%d %H:%M}",
            f"{window.end:%Y-%m-%d %H:%M}",
            f"{window.told_at:%Y-%m-%d %H:%M}" if window.told_at else told,
            "–" if window.delay_minutes is None else f"{window.delay_minutes:,.0f}",
        )
    show(made)
    delay = verdict.median_delay_minutes
    typer.echo(
        f"precision {_portion(verdict.precision)}, recall {_portion(verdict.recall)}, "
        f"median delay {'–' if delay is None else f'{delay:,.0f} minutes'}, "
        f"{verdict.false_alerts} false alerts, {verdict.false_alerts_per_week:.2f} a week"
    )


def _portion(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
