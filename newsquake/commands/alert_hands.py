"""`newsquake alerts ack` and `resolve`: what people do to an alert."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from newsquake.commands.output import AsJson, plain, print_json

AlertId = Annotated[int, typer.Argument(metavar="ID", min=1, help="The alert's number, as `alerts list` shows it.")]
By = Annotated[str | None, typer.Option(help="Who does it. [your login name]", show_default=False)]
Note = Annotated[str | None, typer.Option(help="What others should know.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(ack)
    app.command()(resolve)


def ack(alert_id: AlertId, by: By = None, note: Note = None, as_json: AsJson = False) -> None:
    """Take an alert on: it is neither repeated nor escalated any more. Its end is told as ever."""
    from alerts.byhand import acknowledge

    _do(acknowledge, alert_id, by, note, as_json)


def resolve(alert_id: AlertId, by: By = None, note: Note = None, as_json: AsJson = False) -> None:
    """End an alert by hand, without a message; its topics stay quiet for the cool-down, or until clearly worse."""
    from alerts.byhand import resolve as end

    _do(end, alert_id, by, note, as_json)


def _do(
    what: Callable[..., tuple[dict[str, Any], bool]], alert_id: int, by: str | None, note: str | None, as_json: bool
) -> None:
    from newsquake.commands.database import login_name, transaction

    author = by if by is not None else login_name()
    if not author.strip():
        raise typer.BadParameter("a name, please", param_hint="--by")
    with transaction("newsquake alerts") as connection:
        alert, changed = what(connection, alert_id, by=author, note=note, now=datetime.now(UTC))
    if as_json:
        print_json({"alert": alert, "changed": changed})
        return
    state = alert["state"]
    whose = f" by {plain(alert['acknowledged_by'])}" if state == "acknowledged" else ""
    typer.echo(f"alert {alert_id} is {'' if changed else 'already '}{state}{whose}")
