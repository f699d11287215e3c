"""`newsquake export`: documents or trends as CSV or Parquet, however many there are."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from newsquake.commands.progress import ProgressBar
from newsquake.commands.publish import StreamName
from newsquake.commands.trends import parse_since
from newsquake.errors import NewsquakeError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from newsquake.exports import Write
    from storage.export import Range


class What(StrEnum):
    """What can be exported."""

    DOCUMENTS = "documents"
    TRENDS = "trends"


class Format(StrEnum):
    """Files that can be written."""

    CSV = "csv"
    PARQUET = "parquet"


class Bucket(StrEnum):
    """Rollups that trends come from."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


def export(
    out: Annotated[str, typer.Option(help="File to write, whole or not at all; - for standard output.")],
    file_format: Annotated[Format, typer.Option("--format", help="Parquet needs the extra `export`.")] = Format.PARQUET,
    what: Annotated[What, typer.Option(help="Each document with its score, or counts over time.")] = What.DOCUMENTS,
    since: Annotated[
        str | None, typer.Option(help="Span before the newest stored minute, or a time; all else.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="The same; up to the newest else.")] = None,
    topic: Annotated[list[str] | None, typer.Option(help="Only this topic; may be given again.")] = None,
    stream: Annotated[StreamName | None, typer.Option(help="Only this stream.")] = None,
    bucket: Annotated[Bucket, typer.Option(help="Of trends.")] = Bucket.HOUR,
    raw: Annotated[
        bool, typer.Option("--raw", help="CSV: leave texts that a spreadsheet would compute as they are.")
    ] = False,
) -> None:
    """Write documents or trends to a file, in order of event time (UTC), in the same memory however many."""
    from newsquake.exports import need_pyarrow, write_csv, write_parquet
    from storage import migrate
    from storage.engine import open_engine
    from storage.settings import StorageSettings

    if file_format is Format.PARQUET:
        need_pyarrow()
        if out == "-" and sys.stdout.isatty():
            raise typer.BadParameter("Parquet is nothing for a terminal: name a file", param_hint="--out")
    write: Write = write_parquet if file_format is Format.PARQUET else partial(write_csv, raw=raw)
    engine = open_engine(StorageSettings(), application="newsquake export", patient=True)
    migrate.check(engine)
    wanted = _range(engine, since, until, topic or [], stream and stream.value)
    with _opened(out) as target, ProgressBar(what.value) as bar:
        rows = _write(engine, wanted, what, bucket.value, write, target, bar)
    if out != "-":
        typer.echo(f"{rows:,} rows in {out}", err=True)


def _range(
    engine: "Engine", since: str | None, until: str | None, topics: Sequence[str], stream: str | None
) -> "Range":
    """Raises a `StorageError`; typer's where a time cannot be read."""
    from datetime import UTC, datetime

    from sqlalchemy.exc import DBAPIError

    from storage.export import Range
    from storage.faults import meaning
    from storage.trends import newest_minute

    try:
        with engine.connect() as connection:
            newest = newest_minute(connection) or datetime.now(UTC)
    except DBAPIError as error:
        raise meaning(error) or error from error
    return Range(
        since=parse_since(since, newest=newest) if since else None,
        until=parse_since(until, newest=newest, option="--until") if until else None,
        topics=topics,
        stream=stream,
    )


def _write(
    engine: "Engine", wanted: "Range", what: What, bucket: str, write: "Write", target: BinaryIO, bar: ProgressBar
) -> int:
    """How many rows were written."""
    from storage.export import DOCUMENTS, TRENDS, stream_documents, stream_trends

    rows = 0

    def counting(parts: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        nonlocal rows
        for part in parts:
            yield part
            rows += len(part)
            bar.note(f"{rows:,} rows")

    if what is What.DOCUMENTS:
        write(counting(stream_documents(engine, wanted, told=bar.reach)), DOCUMENTS, target)
    else:
        write(counting(stream_trends(engine, wanted, bucket=bucket)), TRENDS, target)
    return rows


@contextmanager
def _opened(out: str) -> Iterator[BinaryIO]:
    """The file that grows, or standard output; a reader who had enough is no error of ours."""
    from newsquake.exports import whole_file

    if out != "-":
        try:
            with whole_file(Path(out)) as target:
                yield target
        except OSError as error:
            raise NewsquakeError(f"{out} cannot be written: {error.strerror or error}") from error
        return
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its exit
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(1) from None
        raise NewsquakeError(f"standard output cannot be written: {error.strerror or error}") from error
