"""How commands speak: tables on a terminal, one JSON document with `--json`."""

import re
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


_UNPRINTED = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def print_json(document: Any) -> None:
    """One JSON document on stdout; what would steer a terminal or turn its lines round is escaped in it, too."""
    printed = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2).decode()
    typer.echo(_UNPRINTED.sub(lambda found: f"\\u{ord(found[0]):04x}", printed))


def table(title: str, *columns: str) -> Table:
    """A table whose columns named with a leading `>` are right-aligned."""
    made = Table(title=title, title_justify="left", header_style="bold", expand=False)
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    return made


def cell(value: object) -> str:
    """Untrusted text for a table: without control characters, markup escaped."""
    return escape(plain(value))


def plain(value: object) -> str:
    """Untrusted text for a line that is not rendered: without control characters."""
    return "".join(character if character.isprintable() else " " for character in str(value))


def show(made: Table) -> None:
    """Print a table on stdout, at its own width where there is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(made)
