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

_ENDED = 5


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
    ended, end = 0, time.monotonic() + 9
    while time.monotonic() < end:
        world.traffic.send(60)
        time.sleep(rng.uniform(0.02, 0.5))
        with world.database.connect() as connection:
            ended += connection.execute(_TERMINATE).scalar_one()
    if ended < _ENDED:
        raise LookupError(f"only {ended} sessions were there to be ended")


def _forgets(world: World, rng: Random) -> None:
    """What a failover to a replica that lagged does: the last commits that were confirmed are gone."""
    postgres, gone = world.servers.postgres, 0
    world.servers.run("CHECKPOINT")  # the model's row stays: without it no worker would go on, and none be tried
    for _ in range(3):
        world.traffic.send(900)
        time.sleep(rng.uniform(1.5, 2.5))  # offsets are committed each second
        before = len(world.ledger.stored())
        postgres.kill()
        while postgres.pid is not None:
            time.sleep(0.05)
        postgres.start()
        world.database.dispose()
        gone += before > len(world.ledger.stored())
        time.sleep(rng.uniform(2.0, 3.0))
    if not gone:
        raise LookupError("PostgreSQL has forgotten nothing")


def _asynchronously(world: World) -> None:
    """Commits are confirmed before they are written: `_OPTIONS` of the servers keep them in memory for long."""
    world.servers.run(f"ALTER DATABASE {world.database_name} SET synchronous_commit = off")


def _network(world: World, rng: Random) -> None:
    bad_weather(world, world.database_proxy, rng, stall=(1.0, 4.0))


EXPERIMENTS = (
    Experiment("postgres-immediate", "PostgreSQL crashes three times and recovers", "swallow", _immediate),
    Experiment("postgres-backends", "the server ends the workers' sessions again and again", "rollups", _backends),
    Experiment(
        "postgres-forgets",
        "PostgreSQL loses commits that it has confirmed, three times, as a failover to a late replica does",
        "trusting",
        _forgets,
        audited=False,
        prepare=_asynchronously,
    ),
    Experiment(
        "network-database",
        "connections to PostgreSQL are cut, delayed, throttled, half closed and stalled",
        "twice",
        _network,
    ),
)
