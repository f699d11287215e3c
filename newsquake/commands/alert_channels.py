"""`newsquake alerts channels`: where notifications go, and whether they arrive there."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from newsquake.commands.output import AsJson, cell, print_json, show, table


def channels(
    test: Annotated[bool, typer.Option("--test", help="Send a test message to each.")] = False,
    as_json: AsJson = False,
) -> None:
    """The channels of this environment's settings, by the labels that rules name. Exit code 1 if one takes no test."""
    from rich.console import Console
    from rich.progress import track

    from alerts.channels import CONSOLE, open_channels
    from alerts.settings import AlertsSettings
    from alerts.trial import try_out

    opened = open_channels(AlertsSettings())
    # Standard output is the command's own: it would be torn by a message among the JSON.
    tried = {label: channel for label, channel in opened.items() if label != CONSOLE or not as_json}
    trials: dict[str, Any] = {}
    if test:
        progress = Console(stderr=True)
        shown = track(try_out(tried, datetime.now(UTC)), "Sending", len(tried), console=progress, transient=True)
        trials = {trial.channel: trial for trial in shown}
    found: list[dict[str, Any]] = [
        {"channel": label, "tested": label in trials} | _outcome(trials.get(label)) for label in opened
    ]
    if as_json:
        print_json({"channels": found})
    else:
        made = table(f"{len(found)} channels", "channel", *(["test message", "why not"] if test else []))
        for item in found:
            outcome = ["taken" if item["taken"] else "not taken", cell(item["error"] or "")] if item["tested"] else []
            made.add_row(cell(item["channel"]), *outcome)
        show(made)
    if not all(trial.taken for trial in trials.values()):
        raise typer.Exit(1)


def _outcome(trial: Any) -> dict[str, Any]:
    return {} if trial is None else {"taken": trial.taken, "error": trial.error}
