"""`newsquake db`: bring the schema to this release's revision, or check that it is there."""

import typer

from newsquake.commands.output import AsJson, print_json

app = typer.Typer(help="Database schema: upgrade, check.", no_args_is_help=True)


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


def _answer(revision: str, as_json: bool) -> None:
    if as_json:
        print_json({"revision": revision})
    else:
        typer.echo(f"schema revision {revision}")
