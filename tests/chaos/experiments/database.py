"""PostgreSQL crashes, drops its sessions, or is hard to reach."""

import time
from random import Random

from sqlalchemy import text

from tests.chaos.experiments.base import Experiment
from tests.chaos.experiments.network import bad_weather
from tests.chaos.world import World

_TERMINATE = text("""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'newsquake'""")


def _immediate(world: World, rng: Random) -> None:
    postgres = world.servers.postgres
    for _ in range(3):
        world.traffic.send(500)
        time.sleep(rng.uniform(0.2, 1.0))
        postgres.kill()
        while postgres.pid is not None:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, 3.0))
        postgres.start()
        time.sleep(rng.uniform(0.5, 2.0))


def _backends(world: World, rng: Random) -> None:
    end = time.monotonic() + 9
    while time.monotonic() < end:
        world.traffic.send(60)
        time.sleep(rng.uniform(0.02, 0.5))
        with world.database.connect() as connection:
            connection.execute(_TERMINATE)


def _network(world: World, rng: Random) -> None:
    bad_weather(world, world.database_proxy, rng, stall=(1.0, 4.0))


EXPERIMENTS = (
    Experiment("postgres-immediate", "PostgreSQL crashes three times and recovers", "swallow", _immediate),
    Experiment("postgres-backends", "the server ends the workers' sessions again and again", "rollups", _backends),
    Experiment(
        "network-database",
        "connections to PostgreSQL are cut, delayed, throttled, half closed and stalled",
        "twice",
        _network,
    ),
)
