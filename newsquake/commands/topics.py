"""`newsquake topics`: create the Kafka topics, show how far behind the workers are."""

import typer

from newsquake.commands.output import AsJson, cell, print_json, show, table

app = typer.Typer(help="Kafka topics: create them, see the lag.", no_args_is_help=True)


@app.command()
def create(as_json: AsJson = False) -> None:
    """Create the topics that are missing. Topics that exist are left as they are."""
    from pipeline.settings import PipelineSettings
    from pipeline.topics import create_topics

    settings = PipelineSettings()
    created = create_topics(settings)
    if as_json:
        print_json({"broker": settings.broker, "created": created})
    else:
        typer.echo(f"created: {', '.join(created)}" if created else "all topics exist already")


@app.command()
def lag(as_json: AsJson = False) -> None:
    """Committed and end offsets of every partition that the workers read."""
    from pipeline.settings import PipelineSettings
    from pipeline.topics import lag as read_lag

    rows = read_lag(PipelineSettings())
    behind = sum(row.behind for row in rows)
    if as_json:
        print_json({"lag": behind, "partitions": [{**_fields(row), "lag": row.behind} for row in rows]})
        return
    made = table(f"{behind:,} messages behind", "topic", ">partition", ">committed", ">end", ">lag")
    for row in rows:
        committed = "–" if row.committed is None else f"{row.committed:,}"
        made.add_row(cell(row.topic), str(row.partition), committed, f"{row.end:,}", f"{row.behind:,}")
    show(made)


def _fields(row: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(row)  # type: ignore[call-overload, no-any-return]
