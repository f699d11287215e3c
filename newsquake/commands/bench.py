"""`newsquake bench`: what engine, pipeline and database are worth on this machine, and what a worker holds."""

import signal
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from newsquake.commands.output import AsJson, print_json, show

app = typer.Typer(help="Measure on this machine, against named peers in the same run.", no_args_is_help=True)


class Model(StrEnum):
    """Checkpoints that can be measured."""

    SHIPPED = "shipped"
    BASE = "base"


class Broker(StrEnum):
    """Brokers that can be started."""

    TANSU = "tansu"
    KAFKA = "kafka"


Texts = Annotated[
    Path | None,
    typer.Option(help="JSONL with `text`, plain or gzip, or a folder of it; the package's corpus if not given."),
]
BrokerOption = Annotated[
    Broker | None, typer.Option(help="Apache Kafka where NEWSQUAKE_KAFKA_HOME is set, else Tansu, if not given.")
]
Document = Mapping[str, Any]
Watch = Callable[[str, int, int], None]
Tables = Callable[[Document], list[Table]]
Remarks = Callable[[Document], list[str]]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")]


@app.command()
def engine(
    texts: Texts = None,
    count: Annotated[int, typer.Option(min=2, help="Texts in a round; a quarter of them for the base model.")] = 1024,
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds; one more warms up.")] = 5,
    only: Annotated[Model | None, typer.Option(help="Only this model.")] = None,
    peers: Annotated[str | None, typer.Option(help="Only these, with commas: pipeline, sorted-bf16, …")] = None,
    ablation: Annotated[bool, typer.Option("--ablation", help="Measure the engine without each of its steps.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="128 texts and 2 rounds: a look, no figure to quote.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda[:N], where only contenders on torch run.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Time the resident engine against a transformers pipeline and faster ways to run the same GPT-2.

    Two models on the same texts: the shipped checkpoint, and a GPT-2 of base size with random weights. Each contender
    has a process of its own; rounds take turns. A full run takes some twenty minutes on two cores, and up to 9 GB.
    """
    from bench.engine.measure import Plan
    from bench.engine.peers import chosen
    from bench.engine.run import MODELS, Request, run
    from bench.engine.tables import remarks, tables
    from models.hardware import usable_cores

    plan = Plan(rounds=2 if quick else rounds, starts=1 if quick else 3, device=device, cores=usable_cores())
    request = Request(
        peers=chosen(peers),
        plan=plan,
        texts=texts,
        count=min(count, 128) if quick else count,
        singles=12 if quick else 60,
        models=(only.value,) if only else MODELS,
        ablation=ablation,
    )
    _measure(partial(run, request), tables, remarks, as_json=as_json)


@app.command()
def pipeline(
    messages: Annotated[int, typer.Option(min=100, help="Messages that wait in the topics.")] = 50_000,
    texts: Texts = None,
    broker: BrokerOption = None,
    workers: Workers = 1,
    skip: Annotated[
        str | None,
        typer.Option(help="Not these, with commas: raw-consumer, writer-alone, engine-alone, end-to-end, plumbing, …"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="5,000 messages: a look, no figure to quote.")] = False,
    as_json: AsJson = False,
) -> None:
    """Time the way from Kafka to the database: all of it, each part alone, and from publishing to a visible row.

    Starts servers and workers of its own and removes them; settings of the environment are not read. A full run takes
    some five minutes on two cores.
    """
    from bench.pipeline.run import Request, chosen, run
    from bench.pipeline.servers import BrokerKind
    from bench.pipeline.tables import remarks, tables

    request = Request(
        messages=min(messages, 5_000) if quick else messages,
        texts=texts,
        broker=BrokerKind(broker.value) if broker else None,
        workers=workers,
        skip=chosen(skip),
        latency_s=6.0 if quick else 25.0,
        warm_up_s=2.0 if quick else 5.0,
    )
    _measure(partial(run, request), tables, remarks, as_json=as_json)


@app.command()
def storage(
    documents: Annotated[int, typer.Option(min=1_000, help="Documents to fill the database with.")] = 200_000,
    days: Annotated[int, typer.Option(min=7, max=3_650, help="Days that they are spread over.")] = 100,
    tuned: Annotated[
        bool, typer.Option("--tuned", help="Give the server the memory and the log that docker-compose.yml gives it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Time the database: documents in against INSERT and COPY, answers out of every view, days dropped; and weigh it.

    Starts a PostgreSQL of its own with durable settings and removes it. A minute on two cores; ten million documents
    take 40 GB in TMPDIR, and most of an hour.
    """
    from bench.storage.run import Request, run
    from bench.storage.tables import remarks, tables

    request = Request(documents=documents, days=days, tuned=tuned)
    _measure(partial(run, request), tables, remarks, as_json=as_json)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="From the first commit on, at full load.")] = 30,
    texts: Texts = None,
    broker: BrokerOption = None,
    workers: Workers = 1,
    samples: Annotated[Path | None, typer.Option(help="Write every sample to this CSV file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a worker at full load, and tell whether its memory, connections, files or threads grow.

    Some thousand messages always wait; in the end every id that was published must be stored once. Ctrl-C ends the
    load early, with the figures so far; a second one gives up.
    """
    from bench.endurance.soak import Request, run
    from bench.endurance.tables import soak_remarks, soak_tables
    from bench.pipeline.servers import BrokerKind

    request = Request(
        seconds=minutes * 60,
        texts=texts,
        broker=BrokerKind(broker.value) if broker else None,
        workers=workers,
        samples=samples,
    )
    _measure(partial(run, request, stop=_interrupted()), soak_tables, soak_remarks, as_json=as_json)


@app.command()
def backlog(
    messages: Annotated[int, typer.Option(min=1_000, help="Messages that wait.")] = 1_000_000,
    seconds: Annotated[float, typer.Option(min=1, help="From the first commit of each worker on.")] = 60,
    texts: Texts = None,
    broker: BrokerOption = None,
    control: Annotated[
        bool, typer.Option("--control", help="Also a worker that holds all it can read, which must grow.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what a worker holds while a million messages wait, against the same worker before hardly any.

    Beside them a worker without a model tells the pipeline's memory from the model's. Takes some three minutes on two
    cores. With --control, memory for every waiting message: about 1 GB a million.
    """
    from bench.endurance.backlog import Request, run
    from bench.endurance.tables import backlog_remarks, backlog_tables
    from bench.pipeline.servers import BrokerKind

    request = Request(
        messages=messages,
        seconds=seconds,
        texts=texts,
        broker=BrokerKind(broker.value) if broker else None,
        control=control,
    )
    _measure(partial(run, request), backlog_tables, backlog_remarks, as_json=as_json)


@app.command()
def spikes(
    series: Annotated[
        Path | None, typer.Option(help="Folder of `timestamp,value` CSV files, plain or gzip, with windows.json.")
    ] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Also false alerts against delay, on generated counts by minute.")
    ] = False,
    count: Annotated[int, typer.Option(min=1, max=1_000, help="Generated series, of eight weeks each.")] = 20,
    watched: Annotated[
        int, typer.Option(min=0, max=50_000, help="Also time a minute's evaluation of so many series; 0: don't.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Score the volume test on labelled count series by the Numenta Anomaly Benchmark's rules, beside named peers.

    One threshold for all series, the best one, for everyone alike. windows.json maps each series' name to
    pairs of first and last time stamp. Generated series take some twenty seconds each; it takes 110 to tell what one
    false alert a month of 100 series means. They alone are what runs without options.
    """
    from bench.spikes.run import Request, run
    from bench.spikes.tables import remarks, tables

    alone = series is None and not watched
    request = Request(series=series, synthetic=count if synthetic or alone else 0, watched=watched)
    _measure(partial(run, request), tables, remarks, as_json=as_json)


def _measure(run: Callable[[Watch], Document], tables: Tables, remarks: Remarks, *, as_json: bool) -> None:
    """Run with a progress bar and print the document, for machines or for people."""
    from models.progress import TrainingProgress

    with TrainingProgress(Console(stderr=True)) as progress:
        document = run(progress.stage)
    if as_json:
        print_json(document)
        return
    for made in tables(document):
        show(made)
    for line in remarks(document):
        typer.echo(line)


def _interrupted() -> threading.Event:
    """Set by the first SIGINT; the second one is as ever."""
    stop = threading.Event()

    def first(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, first)
    return stop
