"""`newsquake`: the command line. Each command stands in `newsquake/commands`; here they are named and errors end.

Exit codes: 0 fine; 1 the work failed; 2 wrong usage or settings. An error is one line on stderr, never a traceback.
"""

import sys
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from alerts.errors import AlertsError
from models.cli import model
from models.errors import ModelError
from newsquake import __version__
from newsquake.commands import alerts, bench, db, dead_letters, export, publish, services, topics, trends
from newsquake.errors import NewsquakeError
from newsquake.logs import set_up_logs
from pipeline.errors import PipelineError
from storage.errors import StorageError

app = typer.Typer(
    name="newsquake",
    help="A seismograph for market mood: Kafka streams, a GPT-2 classifier, trends in Postgres, spike alerts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
services.register(app)
app.add_typer(publish.app, name="publish")
app.command("trends")(trends.trends)
app.command("export")(export.export)
app.add_typer(alerts.app, name="alerts")
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(db.app, name="db")
app.add_typer(model, name="model")
app.add_typer(bench.app, name="bench")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"newsquake {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what the libraries say, too.")] = False,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    set_up_logs(verbose=verbose)


def main() -> None:
    """Run the command line; turn known errors into one line and an exit code."""
    try:
        app()
    except ValidationError as error:
        _fail("; ".join(_setting(error, item) for item in error.errors()), 2)
    except (NewsquakeError, PipelineError, StorageError, ModelError, AlertsError) as error:
        _fail(str(error), getattr(error, "exit_code", 2))


def _setting(error: ValidationError, item: ErrorDetails) -> str:
    """The environment variable that is wrong, and why."""
    part = error.title.removesuffix("Settings").upper().replace("STACK", "")
    name = "_".join(("NEWSQUAKE", *filter(None, [part]), *(str(place).upper() for place in item["loc"])))
    return f"{name}: {item['msg']}"


def _fail(message: str, code: int) -> None:
    typer.echo(f"newsquake: {' '.join(message.split())}", err=True)
    sys.exit(code)
