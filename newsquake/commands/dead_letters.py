"""`newsquake dead-letters`: what could not be stored, why, and sending it back once the cause is mended."""

import signal
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from newsquake.commands.dead_letter_views import entry_fields, letter_fields, reason_name, row, tell_letter
from newsquake.commands.output import AsJson, print_json, show, table
from newsquake.commands.progress import ProgressBar
from newsquake.commands.trends import parse_since
from newsquake.errors import NewsquakeError
from pipeline.reasons import Reason

if TYPE_CHECKING:
    from pipeline.dead_letter_catalogue import Entry
    from pipeline.dead_letter_replay import ReplayReport

app = typer.Typer(help="Dead letters: list them, look at one, send them back after a fix.", no_args_is_help=True)

ByReason = Annotated[Reason | None, typer.Option(help="Only letters with this reason.")]
ByTopic = Annotated[str | None, typer.Option(help="Only letters that came from this topic.")]
Since = Annotated[str | None, typer.Option(help="Only letters since: a span such as 90m or 7d, or a time (UTC).")]
Partition = Annotated[int, typer.Option(min=0, help="Partition of the dead-letter topic, where it has several.")]


@app.command("list")
def list_command(
    reason: ByReason = None,
    topic: ByTopic = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="Show the newest N; all are counted.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Each dead letter once: when, why, where it came from, and whether it was sent back."""
    from pipeline.dead_letter_archive import Archive
    from pipeline.dead_letter_catalogue import Selection, catalogue
    from pipeline.settings import PipelineSettings

    settings = PipelineSettings()
    selection = Selection(reason=reason, topic=topic, since=_since(since))
    with Archive(settings) as archive:
        found = [entry for entry in catalogue(archive.read()) if selection.covers(entry)]
    newest = found[len(found) - min(limit, len(found)) :]
    counts = Counter(reason_name(entry.reason) for entry in found)
    replayed = sum(entry.replayed for entry in found)
    if as_json:
        document = {"topic": settings.dead_letter_topic, "total": len(found), "replayed": replayed}
        print_json({**document, "by_reason": counts, "letters": [entry_fields(entry) for entry in newest]})
        return
    summary = ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
    shown = f"{len(found):,} dead letters" + (f" ({summary})" if found else "")
    made = table(
        f"{shown}, {replayed:,} replayed" + (f"; the newest {len(newest):,}" if len(newest) < len(found) else ""),
        ">offset", "when (UTC)", "reason", "from", "source", "id", "replay", "error",
    )  # fmt: skip
    for entry in newest:
        made.add_row(*row(entry))
    show(made)


@app.command("show")
def show_command(
    offset: Annotated[int, typer.Argument(min=0, help="Offset in the dead-letter topic, as `list` shows it.")],
    partition: Partition = 0,
    raw: Annotated[
        Path | None, typer.Option(help="Write the exact bytes of the value to this file; - is stdout.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Everything about one dead letter, with its original bytes."""
    from pipeline.dead_letter_archive import Archive
    from pipeline.settings import PipelineSettings

    with Archive(PipelineSettings()) as archive:
        letter = archive.letter(partition, offset)
    if raw is not None:
        _write(raw, letter.value)
    elif as_json:
        print_json(letter_fields(letter))
    else:
        tell_letter(letter)


@app.command("replay")
def replay_command(
    reason: ByReason = None,
    topic: ByTopic = None,
    since: Since = None,
    offset: Annotated[list[int] | None, typer.Option(min=0, help="This letter, even again; may be repeated.")] = None,
    partition: Partition = 0,
    everything: Annotated[bool, typer.Option("--all", help="Letters that were replayed before, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be sent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters back to their topics: those that were never sent back and that this release accepts.

    The rest stays where it is and is counted. Exits 1 if Kafka did not take every letter, or the replay was stopped.
    """
    from pipeline.dead_letter_archive import Archive
    from pipeline.dead_letter_catalogue import Selection, catalogue
    from pipeline.errors import DeadLetterMissing
    from pipeline.settings import PipelineSettings
    from pipeline.topics import check_topics

    settings = PipelineSettings()
    positions = frozenset((partition, number) for number in offset) if offset else None
    selection = Selection(reason=reason, topic=topic, since=_since(since), positions=positions)
    check_topics(settings)
    with Archive(settings) as archive:
        covered = [entry for entry in catalogue(archive.read()) if selection.covers(entry)]
        missing = (positions or frozenset()) - {copy for entry in covered for copy in entry.copies}
        if missing:
            number = min(missing)[1]
            raise DeadLetterMissing(
                f"no such dead letter at offset {number} of {settings.dead_letter_topic}/{partition}"
            )
        chosen = [entry for entry in covered if everything or positions or not entry.replayed]
        stop = threading.Event()
        report = _replay(settings, archive, chosen, stop, dry_run=dry_run, progress=not as_json)
    before = len(covered) - len(chosen)
    if as_json:
        print_json({"dry_run": dry_run, "stopped": stop.is_set(), "replayed_before": before, **_counts(report)})
    else:
        _tell_report(report, before, dry_run=dry_run)
        if stop.is_set():
            typer.echo("stopped before the last letter", err=True)
    raise typer.Exit(1 if report.failed or report.left or stop.is_set() else 0)


def _replay(
    settings: Any, archive: Any, chosen: "Sequence[Entry]", stop: threading.Event, *, dry_run: bool, progress: bool
) -> "ReplayReport":
    from contextlib import nullcontext

    from pipeline.dead_letter_replay import Sender, replay

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sending = nullcontext(None) if dry_run or not chosen else Sender(settings)
    with sending as sender, ProgressBar("replaying", len(chosen), shown=progress) as bar:

        def on_letter(report: "ReplayReport") -> None:
            bar.reach(len(chosen) - report.left)

        return replay(
            archive, chosen, sender, topics=settings.topics, now=datetime.now(UTC), stop=stop, on_letter=on_letter
        )


def _since(value: str | None) -> datetime | None:
    return parse_since(value, newest=datetime.now(UTC) - timedelta(minutes=1)) if value else None


def _write(path: Path, value: bytes | None) -> None:
    if str(path) == "-":
        sys.stdout.buffer.write(value or b"")
        sys.stdout.buffer.flush()
        return
    try:
        path.write_bytes(value or b"")
    except OSError as error:
        raise NewsquakeError(f"{path} cannot be written: {error.strerror}") from error
    typer.echo(f"{len(value or b''):,} bytes written to {path}")


def _counts(report: "ReplayReport") -> dict[str, object]:
    return {
        "sent": report.sent,
        "still_invalid": report.still_invalid,
        "elsewhere": report.elsewhere,
        "failed": report.failed,
        "left": report.left,
        "failures": [{"letter": position, "error": error} for position, error in report.failures],
    }


def _tell_report(report: "ReplayReport", before: int, *, dry_run: bool) -> None:
    for position, error in report.failures:
        typer.echo(f"letter {position}: {error}", err=True)
    if report.failed > len(report.failures):
        typer.echo(f"… and {report.failed - len(report.failures):,} more failed", err=True)
    typer.echo(f"{report.sent:,} " + ("would be sent back" if dry_run else "sent back"))
    for count, what in (
        (report.still_invalid, "still invalid in this release, left where they are"),
        (report.elsewhere, "from a topic that the workers do not read, left where they are"),
        (before, "replayed before (--all sends them again)"),
        (report.failed, "not taken by Kafka"),
        (report.left, "not reached"),
    ):
        if count:
            typer.echo(f"{count:,} {what}")
