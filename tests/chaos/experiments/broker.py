"""The broker is hard to reach, not to be reached, or dead."""

import signal
import time
from random import Random

from tests.chaos.experiments.base import Experiment
from tests.chaos.experiments.network import bad_weather
from tests.chaos.experiments.workers import SESSION
from tests.chaos.world import World


def _network(world: World, rng: Random) -> None:
    bad_weather(world, world.broker_proxy, rng, stall=(SESSION + 1, SESSION + 4))


def _outage(world: World, rng: Random) -> None:
    world.traffic.send(800)
    time.sleep(rng.uniform(0.2, 0.6))
    world.broker_proxy.refuse()
    time.sleep(rng.uniform(12.0, 15.0))
    world.broker_proxy.accept()
    time.sleep(2)


def _crash(world: World, rng: Random) -> None:
    """The second time a worker dies with it, and the committed offsets are all that is left of what it knew."""
    broker = world.servers.broker
    for number in range(2):
        world.traffic.send(600)
        time.sleep(rng.uniform(0.3, 1.0))
        broker.kill()
        while broker.pid is not None:
            time.sleep(0.05)
        if number:
            world.fleet.hit(rng.choice(world.fleet.pids), signal.SIGKILL)
        time.sleep(rng.uniform(0.0, 3.0))
        broker.start()
        time.sleep(rng.uniform(0.5, 3.0))


EXPERIMENTS = (
    Experiment(
        "network-broker",
        "connections to Kafka are cut, delayed, throttled, half closed and stalled beyond the session",
        "twice",
        _network,
    ),
    Experiment("broker-outage", "Kafka cannot be reached for some 15 s", "twice", _outage),
    Experiment(
        "broker-crash",
        "Kafka is killed outright, twice, and started again; the second time a worker dies too",
        "early",
        _crash,
        durable=True,
    ),
)
