"""`newsquake up`, `worker`, `scheduler`: the long-lived parts."""

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from newsquake.stack.stack import Stack


def register(app: typer.Typer) -> None:
    """Add the long-lived parts to the command line."""
    app.command()(up)
    app.command()(worker)
    app.command()(scheduler)


def up(
    replay: Annotated[Path | None, typer.Option(help="Publish this file once everything runs.")] = None,
    speed: Annotated[str, typer.Option(help="Event time of the replay against the clock: 1, 60, … or max.")] = "60",
) -> None:
    """Start everything on this machine: PostgreSQL, Kafka, worker, scheduler. Ctrl-C stops it.

    Settings: NEWSQUAKE_DATA_DIR (.newsquake), NEWSQUAKE_KAFKA_HOME (an unpacked Apache Kafka in place of the
    in-memory broker), NEWSQUAKE_KAFKA_PORT, NEWSQUAKE_POSTGRES_PORT. With --replay, alerts about the past are sent.
    """
    from newsquake.commands.publish import parse_speed
    from newsquake.settings import StackSettings
    from newsquake.stack.run import INTERRUPTED, run_stack
    from pipeline.errors import InvalidSource

    factor = parse_speed(speed)
    if replay is None:
        raise typer.Exit(run_stack(StackSettings()))
    if not replay.is_file():
        raise InvalidSource(f"{replay} is not a file")
    code = run_stack(StackSettings(), replay=True, while_up=lambda stack: _replay(stack, replay, factor))
    raise typer.Exit(0 if code == INTERRUPTED else code)


def _replay(stack: "Stack", path: Path, speed: float | None) -> int:
    """Publish the file, say what became of it, and let the stack run on."""
    from newsquake.commands.publish import publish_file, told
    from pipeline.errors import PipelineError
    from pipeline.settings import PipelineSettings

    try:
        report = publish_file(PipelineSettings(broker=stack.broker), path, speed=speed, stop=stack.stopping)
    except PipelineError as error:
        stack.say(f"replay failed: {error}")
        return 1
    stack.say(f"replay of {path}: {told(report)}")
    stack.stopping.wait()
    return 0


def worker(
    device: Annotated[
        str | None, typer.Option(help="Where the classifier runs: auto, cpu or cuda[:N]. [NEWSQUAKE_MODELS_DEVICE]")
    ] = None,
) -> None:
    """Read both streams, score every message, store it exactly once. Runs until SIGTERM.

    Settings: NEWSQUAKE_PIPELINE_BROKER, NEWSQUAKE_STORAGE_URL, NEWSQUAKE_MODELS_CHECKPOINT and the like.
    """
    from models.settings import ModelsSettings
    from pipeline.settings import PipelineSettings
    from pipeline.topics import check_topics
    from storage import migrate
    from storage.engine import open_engine
    from storage.settings import StorageSettings

    pipeline = PipelineSettings()
    models = ModelsSettings(device=device) if device else ModelsSettings()
    engine = open_engine(StorageSettings(), application="newsquake worker")
    migrate.check(engine, patience=migrate.PATIENCE)
    check_topics(pipeline)

    from models.engine import Engine
    from pipeline.worker import run_worker

    classifier = Engine.load(models)
    classifier.warm_up()
    raise typer.Exit(run_worker(pipeline, engine, classifier))


def scheduler() -> None:
    """Evaluate every settled minute, raise alerts and deliver them. Runs until SIGTERM; one leads, others stand by.

    Settings: NEWSQUAKE_STORAGE_URL, NEWSQUAKE_ALERTS_APPRISE_URLS, NEWSQUAKE_ALERTS_RULES and the like.
    """
    from alerts.scheduler import run_scheduler
    from alerts.settings import AlertsSettings
    from storage.settings import StorageSettings

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run_scheduler(StorageSettings(), AlertsSettings(), stop)
