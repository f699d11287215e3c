"""`newsquake db`: the schema, how long documents are kept, and which model counts."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from newsquake.commands.output import AsJson, plain, print_json, show, table

app = typer.Typer(help="Database: schema, retention, the model that counts.", no_args_is_help=True)


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Migrate the database at NEWSQUAKE_STORAGE_URL to this release's schema."""
    from storage import migrate
    from storage.engine import open_engine
    from storage.settings import StorageSettings

    engine = open_engine(StorageSettings(), application="newsquake db")
    migrate.upgrade(engine)
    _answer(migrate.check(engine), as_json)


@app.command()
def check(as_json: AsJson = False) -> None:
    """Exit 0 if the schema is this release's, 1 if it is not, 2 if the database does not answer."""
    from storage import migrate
    from storage.engine import open_engine
    from storage.errors import SchemaMissing
    from storage.settings import StorageSettings

    try:
        _answer(migrate.check(open_engine(StorageSettings(), application="newsquake db")), as_json)
    except SchemaMissing as error:
        typer.echo(f"newsquake: {error}", err=True)
        raise typer.Exit(1) from None


def parse_days(value: str | None, option: str) -> timedelta | None:
    """`90d` or `12w` as a span; None for None."""
    if value is None:
        return None
    span = re.fullmatch(r"([1-9]\d{0,4})([dw])", value)
    if span is None:
        raise typer.BadParameter(f"{value!r} is not a number of days or weeks such as 90d or 12w", param_hint=option)
    return timedelta(days=int(span[1]) * (7 if span[2] == "w" else 1))


@app.command()
def retention(
    keep: Annotated[str, typer.Option(help="How long documents and scores are kept: 90d, 12w.")],
    keep_keys: Annotated[
        str | None, typer.Option(help="How long their keys are kept, against late redeliveries [keep and 90 days].")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Drop whole days of documents that are older; rollups and alerts stay.

    Keys tell a document that is delivered again from a new one: history older than they are kept counts again when it
    is published again. The scheduler does the same once a day where NEWSQUAKE_STORAGE_KEEP_DAYS is set.
    """
    from storage import migrate
    from storage.engine import open_engine
    from storage.retention import apply_retention
    from storage.settings import StorageSettings

    span, span_of_keys = parse_days(keep, "--keep"), parse_days(keep_keys, "--keep-keys")
    assert span is not None
    engine = open_engine(StorageSettings(), application="newsquake db")
    migrate.check(engine)
    done = apply_retention(engine, keep=span, keep_keys=span_of_keys, now=datetime.now(UTC), dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    if done.days:
        made = table(f"{'would be dropped' if dry_run else 'dropped'}: days before {done.before}", "day", ">MB")
        for day in done.days:
            made.add_row(str(day.day), f"{day.bytes / 1e6:,.1f}")
        show(made)
    early = f"{done.documents_before_2000:,} documents from before 2000, " if done.documents_before_2000 else ""
    typer.echo(
        f"{early}{len(done.days)} days and {done.keys:,} keys before {done.keys_before:%Y-%m-%d} "
        f"{'would go' if dry_run else 'are gone'}"
    )


@app.command()
def activate(
    model: Annotated[str, typer.Argument(help="The model's name, as table models has it.")], as_json: AsJson = False
) -> None:
    """Let the rollups follow another model, wherever it has scored documents."""
    from storage import migrate
    from storage.activation import activate as activate_model
    from storage.engine import open_engine
    from storage.settings import StorageSettings

    engine = open_engine(StorageSettings(), application="newsquake db")
    migrate.check(engine)
    moved = activate_model(engine, model)
    if as_json:
        print_json({"active": model, "moved": moved})
    else:
        typer.echo(f"{plain(model)} counts now; {moved:,} documents moved to its scores")


def _answer(revision: str, as_json: bool) -> None:
    if as_json:
        print_json({"revision": revision})
    else:
        typer.echo(f"schema revision {revision}")
