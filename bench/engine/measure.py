"""One checkpoint, all contenders: prepare, start, time in rounds, compare the answers."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from bench.engine.ceiling import Ceiling
from bench.engine.contender import Contender
from bench.engine.figures import Timings, agreement, rates, shares_of_classes
from bench.engine.peers import OURS, REFERENCE, Peer
from bench.engine.place import Answers, Place
from bench.engine.remote import Remote, apart, naming
from bench.engine.rounds import Lineup, Watch, run_rounds
from bench.engine.texts import Texts
from bench.engine.work import Shape, token_counts
from bench.errors import BenchError, RemoteFailure

MAX_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly a run measures, and on what."""

    rounds: int
    starts: int
    """Times that the engine is started, for its time to a warm state."""
    device: str
    cores: int
    pause: float = 0.2
    """Seconds between turns."""


@dataclass(slots=True)
class Found:
    """What was measured of one checkpoint."""

    shape: Shape
    tokens: list[int]
    """Real tokens of each text of the batch."""
    timings: dict[str, Timings] = field(default_factory=dict)
    figures: dict[str, dict[str, object]] = field(default_factory=dict)
    """By contender: rates, agreement, memory."""
    unavailable: dict[str, str] = field(default_factory=dict)
    ceilings: list[dict[str, float]] = field(default_factory=list)
    """GFLOP/s by way, one for each round."""
    classes: dict[str, list[float]] = field(default_factory=dict)
    """How often the plain pass answers each class."""


def measure(
    checkpoint: Path,
    texts: Texts,
    contenders: Sequence[Peer],
    plan: Plan,
    watch: Watch,
    *,
    required: Sequence[str] = (OURS,),
    ceiling: bool = True,
) -> Found:
    """Measure the contenders on the checkpoint.

    Raises:
        BenchError: the plain pass, or a contender that is required, does not run.
    """
    shape = Shape.read(checkpoint)
    limit = min(MAX_TOKENS, shape.positions)
    found = Found(shape, token_counts(checkpoint, texts.batch, limit))
    with tempfile.TemporaryDirectory(prefix="newsquake-bench-") as scratch, ExitStack() as stack:
        place = Place(checkpoint, Path(scratch), plan.device, plan.cores, limit)
        watch("answers in float32", 0, 1)
        reference = _reference(place, texts)
        watch("answers in float32", 1, 1)
        found.classes = shares_of_classes(reference)
        lineup = stack.enter_context(_lineup(contenders, place, plan, found, watch))
        _require(required, lineup)
        beside = _ceiling(stack, place, found) if ceiling else lambda: None
        found.timings = run_rounds(lineup, texts, plan.rounds, watch, beside=beside, pause=plan.pause)
        for name in list(lineup.up):
            lineup.attempt(name, partial(_compare, name, texts, reference, found))
        _require(required, lineup)
        found.timings = {name: found.timings[name] for name in lineup.up}
        found.unavailable = lineup.out
    return found


def _require(names: Sequence[str], lineup: Lineup) -> None:
    for name in names:
        if name in lineup.out:
            raise BenchError(f"{name} does not run: {lineup.out[name]}")


def _reference(place: Place, texts: Texts) -> Answers:
    log = _log(place, REFERENCE.name)
    with naming("the plain pass in float32"), Remote(Contender, REFERENCE.load, place, log=log) as remote:
        answers: Answers = remote.call("answer", texts.batch)
    return answers


@contextmanager
def _lineup(contenders: Sequence[Peer], place: Place, plan: Plan, found: Found, watch: Watch) -> Iterator[Lineup]:
    """Start every contender, one after another; end those who are up at the end."""
    started = Lineup()
    try:
        for number, peer in enumerate(contenders):
            watch("starting", number, len(contenders))
            try:
                started.up[peer.name] = _started(peer, place, plan, found)
            except RemoteFailure as failure:
                started.out[peer.name] = str(failure)
        watch("starting", len(contenders), len(contenders))
        yield started
    finally:
        for remote in started.up.values():
            remote.close()


def _started(peer: Peer, place: Place, plan: Plan, found: Found) -> Remote:
    if reason := peer.missing(place.device):
        raise RemoteFailure(reason)
    if peer.prepare:
        apart(peer.prepare, place, log=_log(place, peer.name))
    seconds = []
    for _ in range(plan.starts - 1 if peer.name == OURS else 0):
        thrown_away, taken = _up(peer, place)
        thrown_away.close()
        seconds.append(taken)
    remote, taken = _up(peer, place)
    precision, resident = remote.call("facts")
    ready = median([*seconds, taken])
    found.figures[peer.name] = {"precision": precision, "ready_s": ready, "resident_mb": resident}
    return remote


def _up(peer: Peer, place: Place) -> tuple[Remote, float]:
    """A warm contender, and the seconds from the start of its process."""
    began = time.perf_counter()
    remote = Remote(Contender, peer.load, place, log=_log(place, peer.name))
    return remote, time.perf_counter() - began


def _ceiling(stack: ExitStack, place: Place, found: Found) -> Callable[[], None]:
    with naming("the ceiling"):
        remote = stack.enter_context(Remote(Ceiling, found.shape, place.device, log=_log(place, "ceiling")))
    return lambda: found.ceilings.append(remote.call("measure"))


def _compare(name: str, texts: Texts, reference: Answers, found: Found, remote: Remote) -> None:
    documents, tokens = len(texts.batch), sum(found.tokens)
    found.figures[name] |= rates(found.timings[name], documents, tokens, found.shape.full(tokens, documents))
    found.figures[name] |= {"peak_mb": remote.call("peak_mb")}
    found.figures[name] |= agreement(remote.call("answer", texts.batch), reference)


def _log(place: Place, name: str) -> Path:
    return place.scratch / f"{name.replace(' ', '-')}.log"
