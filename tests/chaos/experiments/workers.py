"""Workers die, freeze, come and go."""

import signal
import time
from random import Random

from tests.chaos.experiments.base import Experiment
from tests.chaos.world import World

SESSION = 6.0  # seconds after which the group gives up a silent member


def _sigkill(world: World, rng: Random) -> None:
    for _ in range(3):
        world.traffic.send(500)
        time.sleep(rng.uniform(0.2, 0.9))
        pids = world.fleet.pids
        for pid in pids if rng.random() < 0.3 else pids[:1]:
            world.fleet.hit(pid, signal.SIGKILL)
        time.sleep(rng.uniform(0.5, SESSION + 2))


def _sigstop(world: World, rng: Random) -> None:
    """A stand-in takes the frozen worker's partitions; then the zombie wakes, with a batch in its hands."""
    for _ in range(2):
        world.traffic.send(700)
        time.sleep(rng.uniform(0.2, 0.8))
        frozen = rng.choice(world.fleet.pids)
        world.fleet.hit(frozen, signal.SIGSTOP)
        world.fleet.add()
        stand_in = world.fleet.pids[-1]
        time.sleep(SESSION + rng.uniform(1.0, 3.5))
        world.fleet.hit(frozen, signal.SIGCONT)
        time.sleep(rng.uniform(0.5, 2.0))
        world.fleet.remove(stand_in, rng.choice((signal.SIGTERM, signal.SIGKILL)))


def _storm(world: World, rng: Random) -> None:
    for _ in range(5):
        coming = rng.randint(1, 2)
        world.fleet.add(coming)
        world.traffic.send(300)
        time.sleep(rng.uniform(0.3, 3.0))
        for _ in range(coming):
            world.fleet.remove(
                rng.choice(world.fleet.pids), rng.choice((signal.SIGTERM, signal.SIGTERM, signal.SIGKILL))
            )


EXPERIMENTS = (
    Experiment(
        "worker-sigkill",
        "workers are killed outright, three times, with messages in flight",
        "early",
        _sigkill,
    ),
    Experiment(
        "worker-sigstop",
        "a worker is frozen until the group has given its partitions away, then thaws",
        "twice",
        _sigstop,
        backlog=800,
    ),
    Experiment(
        "rebalance-storm",
        "workers join and leave, politely or not, faster than the group settles",
        "twice",
        _storm,
        backlog=1_500,
    ),
)
