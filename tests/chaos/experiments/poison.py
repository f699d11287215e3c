"""A third of the messages are malformed, in runs; some are as large as the topic takes."""

import signal
import time
from random import Random

from tests.chaos.experiments.base import Experiment
from tests.chaos.traffic import LARGE, MALFORMED
from tests.chaos.world import World


def _flood(world: World, rng: Random) -> None:
    for _ in range(5):
        world.traffic.send(250)
        world.traffic.poison(rng.randint(100, 200), MALFORMED)
        world.traffic.poison(2, LARGE)
        time.sleep(rng.uniform(0.3, 1.5))
    world.fleet.hit(rng.choice(world.fleet.pids), signal.SIGKILL)
    world.traffic.poison(100, MALFORMED)
    time.sleep(2)


EXPERIMENTS = (
    Experiment(
        "poison-flood",
        "a third of the messages is malformed, in runs, some of 8 MB; a worker is killed among them",
        "drop",
        _flood,
        traffic={"malformed": 0.1},
    ),
)
