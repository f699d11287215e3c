"""`newsquake alerts rules` and `alerts test`: check a rules file, see what is in force, try a rule on stored data."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from newsquake.commands.output import AsJson, cell, plain, print_json, show, table

if TYPE_CHECKING:
    from alerts.rehearsal import Rehearsed
    from alerts.rules import Rule

app = typer.Typer(help="Rules: what is watched, how surely, and who is told when.", no_args_is_help=True)
RulesFile = Annotated[Path, typer.Argument(help="A TOML file of [[rule]] tables.")]


@app.command()
def check(path: RulesFile, as_json: AsJson = False) -> None:
    """Exit 0 if the scheduler would take the file, 2 with the rule and field that it would not."""
    from alerts.channels import channel_labels
    from alerts.rules import check_channels, parse_file
    from alerts.settings import AlertsSettings

    found = parse_file(path)
    check_channels(found, channel_labels(AlertsSettings()), str(path))
    hints = _hints(found)
    if as_json:
        print_json({"rules": found, "hints": hints})
        return
    typer.echo(f"{len(found)} rules, all well: {', '.join(rule.name for rule in found)}")
    _say(hints)


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """The rules in force: those of NEWSQUAKE_ALERTS_RULES, then the database's. The first that fits judges."""
    from alerts.rulebook import file_rules, unknown_names, with_rows
    from alerts.rules import false_alerts_per_month
    from alerts.settings import AlertsSettings
    from newsquake.commands.database import transaction

    settings = AlertsSettings()
    before = file_rules(settings)
    with transaction("newsquake alerts") as connection:
        found, faults = with_rows(connection, before, settings)
        strangers = unknown_names(connection, found)
    hints = _hints(found) + [
        f"no message has named {name} yet: names are spelt as sources spell them" for name in strangers
    ]
    places = [_place(number, rule, len(before)) for number, rule in enumerate(found)]
    if as_json:
        print_json({"rules": [{**_fields(rule), "from": place} for rule, place in zip(found, places, strict=True)],
                    "left_out": faults, "hints": hints})  # fmt: skip
        return
    made = table(f"{len(found)} rules", "name", "from", "watches", "streams", ">false alerts/month", ">pending",
                 ">repeat", "quiet hours", "channels", "then")  # fmt: skip
    for rule, place in zip(found, places, strict=True):
        made.add_row(*_cells(rule, place, false_alerts_per_month(rule.apply(settings))))
    show(made)
    _say([f"left out: {fault}" for fault in faults] + hints)


@app.command()
def add(
    path: RulesFile,
    by: Annotated[str | None, typer.Option(help="Who writes them. [your login name]", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Write a file's rules into the database, over those of the same names. Schedulers follow within a round."""
    from alerts.channels import channel_labels
    from alerts.rulebook import put_rules
    from alerts.rules import check_channels, parse_file
    from alerts.settings import AlertsSettings
    from newsquake.commands.database import login_name, transaction

    found = parse_file(path)
    check_channels(found, channel_labels(AlertsSettings()), str(path))
    author = by if by is not None else login_name()
    with transaction("newsquake alerts") as connection:
        put_rules(connection, found, author=author, now=datetime.now(UTC))
    if as_json:
        print_json({"written": [rule.name for rule in found]})
    else:
        typer.echo(f"written: {', '.join(rule.name for rule in found)}")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="The rule's name.")], as_json: AsJson = False) -> None:
    """Take a rule out of the database. Its open alerts go on under the rule that holds them then, or end."""
    from alerts.rulebook import drop_rule
    from newsquake.commands.database import transaction

    with transaction("newsquake alerts") as connection:
        drop_rule(connection, name)
    if as_json:
        print_json({"removed": name})
    else:
        typer.echo(f"removed: {plain(name)}")


def test(
    name: Annotated[str, typer.Argument(metavar="RULE", help="The rule's name.")],
    since: Annotated[str, typer.Option(help="Span before the newest stored minute, or a time.")] = "7d",
    path: Annotated[
        Path | None, typer.Option("--file", help="Take the rule from this file, not from those in force.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What a rule alone would have made of the messages that are stored. Changes nothing, tells nobody."""
    from rich.console import Console
    from sqlalchemy.exc import DBAPIError

    from alerts.backtest import backtest
    from alerts.rehearsal import rehearse
    from alerts.settings import AlertsSettings
    from newsquake.commands.trends import parse_since
    from storage import migrate
    from storage.engine import open_engine
    from storage.faults import meaning
    from storage.settings import StorageSettings
    from storage.trends import newest_minute

    settings = AlertsSettings()
    engine = open_engine(StorageSettings(), application="newsquake alerts", patient=True)
    migrate.check(engine)
    try:
        rule = _find(engine, settings, name, path)
        with engine.connect() as connection:
            newest = newest_minute(connection)
        window, found = None, []
        if newest is not None:
            window = (parse_since(since, newest=newest), newest)
            with Console(stderr=True).status(f"evaluating {window[0]:%Y-%m-%d %H:%M} to {newest:%Y-%m-%d %H:%M} UTC"):
                found = rehearse(backtest(engine, settings, *window, rules=[rule]), rule, settings)
    except DBAPIError as error:
        raise meaning(error) or error from error
    if as_json:
        print_json({"rule": rule, "since": window and window[0], "until": window and window[1], "alerts": found})
    elif window is None:
        typer.echo("nothing is stored yet")
    else:
        _show_rehearsal(found, rule, window)


def _show_rehearsal(found: "list[Rehearsed]", rule: "Rule", window: tuple[datetime, datetime]) -> None:
    weeks = (window[1] - window[0]).total_seconds() / (7 * 86400)
    rate = f", {len(found) / weeks:.1f} a week" if weeks >= 1 else ""
    title = (
        f"rule {rule.name}: {len(found)} alerts from {window[0]:%Y-%m-%d %H:%M} to {window[1]:%Y-%m-%d %H:%M} UTC{rate}"
    )
    made = table(title, "since (UTC)", "until (UTC)", "about", "severity", ">seen", ">expected", ">p", "told")
    for item in found:
        until = f"{item.until:%Y-%m-%d %H:%M}" if item.until else "goes on"
        made.add_row(
            f"{item.since:%Y-%m-%d %H:%M}",
            until,
            cell(", ".join(item.entities or item.topics)),
            item.severity,
            f"{item.seen:,}",
            f"{item.expected:.1f}",
            f"{item.p_value:.0e}",
            cell(item.told),
        )
    show(made)


def _find(engine: Any, settings: Any, name: str, path: Path | None) -> "Rule":
    from alerts.errors import InvalidRule
    from alerts.rulebook import file_rules, with_rows
    from alerts.rules import parse_file

    if path is not None:
        found = parse_file(path)
    else:
        with engine.connect() as connection:
            found, _ = with_rows(connection, file_rules(settings), settings)
    for rule in found:
        if rule.name == name:
            return rule
    raise InvalidRule(f"there is no rule {name!r}; there are {', '.join(rule.name for rule in found)}")


def _hints(found: "list[Rule]") -> list[str]:
    """What is allowed and still looks like a mistake."""
    from alerts.rules import watches_everything
    from models.labels import TOPICS

    hints = []
    for rule in found:
        odd = [topic for topic in rule.scope.topics if topic not in TOPICS]
        if odd:
            hints.append(f"rule {rule.name}: the shipped classifier knows no topic {', '.join(odd)}")
    if not watches_everything(found):
        hints.append("no rule watches all topics together; end with a rule without a scope, unless that is meant")
    return hints


def _say(hints: list[str]) -> None:
    for hint in hints:
        typer.echo(f"newsquake: {plain(hint)}", err=True)


def _place(number: int, rule: "Rule", of_file: int) -> str:
    from alerts.rules import DEFAULT

    return "file" if number < of_file else "built in" if rule is DEFAULT else "database"


def _cells(rule: "Rule", place: str, per_month: float) -> list[str]:
    quiet, second = rule.quiet_hours, rule.escalation
    return [
        cell(rule.name),
        place,
        cell(_watched(rule)),
        cell(", ".join(rule.scope.streams)) or "both",
        f"{per_month:.2g}",
        f"{rule.pending_minutes} min",
        f"{rule.repeat_hours:g} h" if rule.repeat_hours else "never",
        f"{quiet.start}-{quiet.end} {cell(quiet.zone)}" if quiet else "none",
        cell(", ".join(rule.channels)) or "all",
        f"after {second.after_minutes} min {cell(', '.join(second.channels))}" if second else "nobody",
    ]


def _watched(rule: "Rule") -> str:
    """`debt, energy`, `names: Merrowdale Bank`, `all topics in zh`."""
    scope = rule.scope
    if scope.entities:
        return "all names" if "*" in scope.entities else f"names: {', '.join(scope.entities)}"
    parts = [", ".join(scope.topics) or "all topics"]
    parts += [f"in {', '.join(scope.languages)}"] if scope.languages else []
    parts += [f"from {', '.join(scope.sources)}"] if scope.sources else []
    return " ".join(parts)


def _fields(rule: "Rule") -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(rule)
    return found
