"""One run of one experiment: a backlog, workers, trouble under traffic, healing, and the count."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from sqlalchemy.exc import SQLAlchemyError

from tests.chaos.experiments.base import Experiment
from tests.chaos.faults import SHOWS
from tests.chaos.ledger import STILL, VERY_STILL, Count
from tests.chaos.servers import Servers
from tests.chaos.world import Plan, World

_START_SECONDS = 60.0
_SETTLE_SECONDS = 150.0  # more than a worker's watchdog takes to end one that stands still
_CONTROL_SETTLE_SECONDS = 60.0
_UNDER_WAY = 100  # rows


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run and what was counted; `broken` names the planted fault of a red control."""

    experiment: str
    workers: int
    seed: int
    broken: str | None
    count: Count
    restarts: int
    exits: list[int]
    looks: int
    seconds: float
    settled: float  # seconds from the healing until everything was stored
    log: str  # where the workers' log is kept; empty where nobody needs it

    @property
    def caught(self) -> bool:
        """Whether the planted fault shows where it must, and not by some other trouble."""
        return bool(self.broken) and shows(self.broken or "", self.count)


def run(servers: Servers, experiment: Experiment, *, workers: int, seed: int, broken: str | None = None) -> Outcome:
    """Run it once. The same seed draws the same trouble; how it meets the workers is up to the machine."""
    began = time.monotonic()
    rng = Random(f"{experiment.name}/{workers}/{seed}")
    traffic = {**experiment.traffic, **({"repeats": 0.0} if broken else {})}  # a repeat is no fault of a control's
    world = World(servers, Plan(workers, broken, experiment.environment(), traffic), Random(rng.random()))
    try:
        experiment.prepare(world)
        world.traffic.send(experiment.backlog)
        world.traffic.flush()
        if experiment.audited:
            world.ledger.start()
        world.fleet.add(workers)
        _wait_for_rows(world)
        with world.traffic.flowing(experiment.rate):
            experiment.trouble(world, rng)
        servers.heal()
        healed = time.monotonic()
        world.traffic.flush()
        patience = _CONTROL_SETTLE_SECONDS if broken else _SETTLE_SECONDS
        hung = not world.ledger.settle(patience, still=STILL if experiment.audited else VERY_STILL)
        settled = time.monotonic() - healed
        world.fleet.remove_all()
        count = world.ledger.count(hung=hung, said=world.unsaid)
        as_it_should = shows(broken, count) if broken else count.clean
        log = "" if as_it_should else _keep(world.folder / "worker.log")
        spent = time.monotonic() - began
        fleet, looks = world.fleet, world.ledger.looks
        return Outcome(
            experiment.name, workers, seed, broken, count, fleet.restarts, fleet.exits, looks, spent, settled, log
        )
    finally:
        world.close()


def shows(fault: str, count: Count) -> bool:
    """Whether a planted fault is to be seen in the figures that it must spoil."""
    return any(getattr(count, figure) for figure in SHOWS[fault])


def _wait_for_rows(world: World) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            if len(world.ledger.stored()) >= _UNDER_WAY:
                return
        except SQLAlchemyError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"no work under way after {_START_SECONDS:.0f} s; the log: {_keep(world.folder / 'worker.log')}")


def _keep(log: Path) -> str:
    """Copy a log to where it outlives the servers' folder."""
    kept = Path(tempfile.gettempdir()) / f"newsquake-chaos-{log.parent.name}.log"
    if log.exists():
        shutil.copy(log, kept)
    return str(kept)
