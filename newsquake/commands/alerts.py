"""`newsquake alerts`: what fired, and why; who has taken it on; rules and silences."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from newsquake.commands import alert_channels, alert_hands, alert_rules, alert_silences
from newsquake.commands.backtest import backtest
from newsquake.commands.output import AsJson, cell, print_json, show, table
from newsquake.commands.score_series import score_series

app = typer.Typer(help="Alerts: what fired, and why.", no_args_is_help=True)
app.command("backtest")(backtest)
app.command("score-series")(score_series)


class State(StrEnum):
    """States of an alert."""

    firing = "firing"
    acknowledged = "acknowledged"
    resolved = "resolved"


@app.callback()
def _alerts() -> None:
    """Alerts: what fired, and why."""


@app.command("list")
def list_command(
    state: Annotated[State | None, typer.Option(help="Only alerts in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest N.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The newest alert episodes with what was seen, expected and how sure."""
    from sqlalchemy.exc import DBAPIError

    from alerts.queries import list_alerts
    from storage import migrate
    from storage.engine import open_engine
    from storage.faults import meaning
    from storage.settings import StorageSettings

    engine = open_engine(StorageSettings(), application="newsquake alerts")
    migrate.check(engine)
    try:
        found = list_alerts(engine, limit=limit, state=state.value if state else None)
    except DBAPIError as error:
        raise meaning(error) or error from error
    if as_json:
        print_json({"alerts": found})
        return
    made = table(f"{len(found)} alerts", ">id", "about", "stream", "state", "severity", "since (UTC)", "until (UTC)",
                 ">seen", ">expected", ">p", "taken on by")  # fmt: skip
    for alert in found:
        until = alert["resolved_at"]
        made.add_row(
            str(alert["alert_id"]),
            cell(_about(alert)),
            cell(alert["stream"]),
            cell(alert["state"]),
            cell(alert["severity"]),
            f"{alert['opened_at']:%Y-%m-%d %H:%M}",
            f"{until:%Y-%m-%d %H:%M}" if until else "–",
            f"{alert['observed']:,}",
            f"{alert['expected']:.1f}",
            f"{alert['p_value']:.0e}",
            cell(alert["acknowledged_by"] or "–"),
        )
    show(made)


def _about(alert: dict[str, Any]) -> str:
    """Topic or name, and which messages count where not all do."""
    name = alert["topic"] if alert["entity"] == "*" else alert["entity"]
    return " ".join([name, *alert["languages"], *alert["source_patterns"]])


alert_hands.register(app)
alert_silences.register(app)
app.add_typer(alert_rules.app, name="rules")
app.command()(alert_rules.test)
app.command()(alert_channels.channels)
