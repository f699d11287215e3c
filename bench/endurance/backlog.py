"""Memory before a million waiting messages, against the same worker before hardly any.

All run at the same time, each with a group and a database of its own, for speed plays no part here. Beside those two
goes a worker without a model before the same million, which tells what the pipeline holds from what the model does;
and, where it is asked for, one that hoards, which shows that the figure would tell.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.endurance.bulk import BulkPublisher
from bench.endurance.load import DISTINCT, Load
from bench.endurance.samples import resident, stored
from bench.engine.rounds import Watch
from bench.errors import BenchError
from bench.machine import machine
from bench.pipeline.drain import READY
from bench.pipeline.run import PACKAGES
from bench.pipeline.servers import BrokerKind, Servers
from bench.pipeline.workers import WORKER, Workers
from pipeline.settings import PipelineSettings
from storage.engine import open_engine

FEW = 300
"""Messages of the backlog that is as good as none."""
PLUMBING = ("-m", "bench.endurance.slow_worker", "0.002")
HOARDING = (*PLUMBING, "hoard")
_CHUNK = 10_000
_LOOK = 0.02


@dataclass(frozen=True, slots=True)
class Request:
    """What waits, and how long to look."""

    messages: int = 1_000_000
    seconds: float = 60.0
    """From the first commit of each worker on."""
    texts: Path | None = None
    """File or folder; the corpus without one."""
    distinct: int = DISTINCT
    broker: BrokerKind | None = None
    plumbing: bool = True
    """Whether a worker without a model takes part."""
    control: bool = False
    """Whether a worker that holds all it can read takes part."""
    worker: Sequence[str] = WORKER
    """Python's arguments for the worker that is measured."""


def run(request: Request, watch: Watch) -> dict[str, Any]:
    """Start servers, measure, and return the JSON document.

    Raises:
        BenchUsage: there are no texts, or no such broker.
        BenchError: a worker does not run, or has nothing left to read.
    """
    load = Load(request.texts, request.distinct)
    with tempfile.TemporaryDirectory(prefix="newsquake-bench-") as folder:
        with Servers(Path(folder), request.broker) as servers:
            return backlog(servers, load, request, watch)


def backlog(servers: Servers, load: Load, request: Request, watch: Watch) -> dict[str, Any]:
    """The same on servers that run already."""
    waiting, few = servers.topics("waiting"), servers.topics("few")
    began = time.perf_counter()
    _publish(waiting, load, request.messages, watch)
    took = time.perf_counter() - began
    mean = load.bytes / load.published
    _publish(few, load, FEW)
    others = ({"plumbing": PLUMBING} if request.plumbing else {}) | ({"control": HOARDING} if request.control else {})
    with ExitStack() as stack:
        watched = {
            "waiting": _Watched(stack, servers, waiting, request.worker, request.messages),
            "empty": _Watched(stack, servers, few, request.worker, FEW),
        }
        for name, worker in others.items():
            own = waiting.model_copy(update={"group": f"{waiting.group}-{name}"})
            watched[name] = _Watched(stack, servers, own, worker, request.messages)
        _look_at(list(watched.values()), request.seconds, watch)
        found = {name: one.figures() for name, one in watched.items()}
    if not found["waiting"]["left"]:
        raise BenchError(f"all {request.messages:,} messages were stored meanwhile: let more of them wait")
    return found | {
        "growth_mb": found["waiting"]["growth_mb"],
        **{f"{name}_growth_mb": found[name]["growth_mb"] for name in ("empty", *others)},
        "against_empty_mb": found["waiting"]["peak_mb"] - found["empty"]["peak_mb"],
        "messages": request.messages,
        "seconds": request.seconds,
        "published_per_s": request.messages / took,
        "mean_bytes": mean,
        "broker": str(servers.kind),
        "texts": load.source,
        "machine": machine(PACKAGES) | servers.versions(),
    }


def _publish(topics: PipelineSettings, load: Load, count: int, watch: Watch = lambda *_: None) -> None:
    with BulkPublisher(topics) as publisher:
        for done in range(0, count, _CHUNK):
            publisher.publish(load.take(min(_CHUNK, count - done)))
            watch("publish", min(done + _CHUNK, count), count)


class _Watched:
    """A worker of its own group, with a database of its own, from its start on."""

    def __init__(
        self, stack: ExitStack, servers: Servers, topics: PipelineSettings, worker: Sequence[str], messages: int
    ) -> None:
        storage = servers.database(topics.group.replace("-", "_"))
        database = open_engine(storage, application="newsquake bench")
        stack.callback(database.dispose)
        self._connection = stack.enter_context(database.connect().execution_options(isolation_level="AUTOCOMMIT"))
        self._workers = stack.enter_context(Workers(servers, topics, storage, argv=worker))
        self._messages = messages
        self._began = time.perf_counter()
        self.first_at: float | None = None
        """Monotonic seconds of the first commit."""
        self._first = self._peak = self._last = 0.0

    def look(self) -> None:
        """Note what it holds.

        Raises:
            BenchError: it has ended, or does not begin.
        """
        self._workers.check()
        now, held = time.perf_counter(), resident(self._workers.pids[0])
        if self.first_at is None:
            if not stored(self._connection):
                if now - self._began > READY:
                    raise BenchError(f"no message is stored after {READY:.0f} s: {self._workers.last_words()}")
                return
            self.first_at, self._first = now, held
        self._last, self._peak = held, max(self._peak, held)

    def figures(self) -> dict[str, Any]:
        """Megabytes at the first commit, the most since, and now; what is stored by now, and what still waits."""
        docs = stored(self._connection)
        return {
            "first_mb": self._first,
            "peak_mb": self._peak,
            "last_mb": self._last,
            "growth_mb": self._peak - self._first,
            "docs": docs,
            "left": self._messages - docs,
        }


def _look_at(watched: Sequence[_Watched], seconds: float, watch: Watch) -> None:
    """Look at all of them until each has been at work for `seconds`."""
    spent = 0.0
    while spent < seconds:
        for one in watched:
            one.look()
        firsts = [one.first_at for one in watched]
        if None not in firsts:
            spent = time.perf_counter() - max(first for first in firsts if first is not None)
            watch("watch", int(min(spent, seconds)), int(seconds))
        time.sleep(_LOOK)
