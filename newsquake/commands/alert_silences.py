"""`newsquake alerts silence`, `silences`, `unsilence`: hold messages back for a while."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from newsquake.commands.output import AsJson, cell, plain, print_json, show, table
from newsquake.commands.publish import StreamName

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=366)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(silence)
    app.command()(silences)
    app.command()(unsilence)


def parse_span(value: str, option: str) -> timedelta:
    """`30m`, `2h`, `3d` or `1w`, up to a year."""
    span = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", value)
    found = timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else None
    if found is None or found > _LONGEST:
        raise typer.BadParameter(f"{value!r} is not a span such as 30m, 2h, 3d or 1w, up to a year", param_hint=option)
    return found


def silence(
    span: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 3d, 1w.")],
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    stream: Annotated[StreamName | None, typer.Option(help="Only this stream.")] = None,
    entity: Annotated[str | None, typer.Option(help="Only alerts that are mostly about this name.")] = None,
    source: Annotated[str | None, typer.Option(help="Only alerts mostly from sources like this: 'rss:*'.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every alert there is.")] = False,
    starts_in: Annotated[str | None, typer.Option("--in", help="Begin later: 30m, 2h, 3d.")] = None,
    by: Annotated[str | None, typer.Option(help="Who asks for it. [your login name]", show_default=False)] = None,
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell nobody of some alerts for a while. They are recorded as ever; what still fires at the end is told then."""
    from alerts.silences import add_silence
    from newsquake.commands.database import login_name, transaction

    limits = (topic, stream, entity, source)
    if everything == any(limit is not None for limit in limits):
        raise typer.BadParameter("say which alerts, by --topic, --stream, --entity or --source, or else --all")
    now = datetime.now(UTC)
    starts_at = now + (parse_span(starts_in, "--in") if starts_in else timedelta(0))
    ends_at = starts_at + parse_span(span, "--for")
    scope = {"topic": topic, "stream": stream and stream.value, "entity": entity, "source_pattern": source}
    author = by if by is not None else login_name()
    with transaction("newsquake alerts") as connection:
        made = add_silence(
            connection, **scope, starts_at=starts_at, ends_at=ends_at, author=author, comment=comment, now=now
        )
    if as_json:
        print_json({"silence": made})
    else:
        typer.echo(
            f"silence {made.silence_id} of {_scope(made)} from {_minute(starts_at)} until {_minute(ends_at)} UTC"
        )
        _warn_unknown(topic)


def silences(
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended, too, the newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most N.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Silences that hold or are to come, the next to end first."""
    from alerts.silences import read_silences
    from newsquake.commands.database import transaction

    now = datetime.now(UTC)
    with transaction("newsquake alerts") as connection:
        found = read_silences(connection, now, ended=ended, limit=limit)
    if as_json:
        print_json({"silences": found})
        return
    made = table(f"{len(found)} silences", ">id", "of", "from (UTC)", "until (UTC)", "state", "by", "comment")
    for item in found:
        state = "holds" if item.active(now) else "ended" if item.ends_at <= now else "to come"
        author, comment = cell(item.author), cell(item.comment)
        made.add_row(
            str(item.silence_id),
            cell(_scope(item)),
            _minute(item.starts_at),
            _minute(item.ends_at),
            state,
            author,
            comment,
        )
    show(made)


def unsilence(
    silence_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="The silence's number.")],
    by: Annotated[str | None, typer.Option(help="Who lifts it. [your login name]", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """End a silence now: what still fires is told with the next round."""
    from alerts.silences import lift_silence
    from newsquake.commands.database import login_name, transaction

    author = by if by is not None else login_name()
    with transaction("newsquake alerts") as connection:
        lifted, changed = lift_silence(connection, silence_id, author=author, now=datetime.now(UTC))
    if as_json:
        print_json({"silence": lifted, "changed": changed})
    else:
        typer.echo(f"silence {silence_id} {'is lifted' if changed else 'had ended already'}")


def _scope(item: Any) -> str:
    """`topic debt, stream news`, or everything."""
    fields = {"topic": item.topic, "stream": item.stream, "entity": item.entity, "sources": item.source_pattern}
    return ", ".join(f"{name} {plain(value)}" for name, value in fields.items() if value is not None) or "everything"


def _warn_unknown(topic: str | None) -> None:
    """A name of no topic may still be one of a classifier trained for others."""
    from models.labels import TOPICS

    if topic is not None and topic not in TOPICS:
        typer.echo(
            f"newsquake: the shipped classifier knows no topic {plain(topic)}; it has {', '.join(TOPICS)}", err=True
        )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
