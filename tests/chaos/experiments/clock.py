"""The workers' wall clock jumps by hours, both ways, while the monotonic clock runs on: libfaketime, where it is."""

import os
import tempfile
import time
from pathlib import Path
from random import Random

from tests.chaos.experiments.base import Experiment
from tests.chaos.world import World

_PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
_FARTHEST = 20.0  # hours; a day ahead of the clock, messages are invalid by the wire format
_FILE = "FAKETIME_TIMESTAMP_FILE"


def _library() -> Path | None:
    return next((found for place in _PLACES for found in sorted(Path("/").glob(place[1:]))), None)


def _missing() -> str:
    return "" if _library() else "libfaketime is not installed (Debian: apt-get install faketime)"


def _environment() -> dict[str, str]:
    descriptor, name = tempfile.mkstemp(prefix="newsquake-clock-")
    os.close(descriptor)
    _set(name, 0)
    return {"LD_PRELOAD": str(_library()), _FILE: name, "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}


def _set(name: str, hours: float) -> None:
    """Replaced, not written over: a reader never finds half of it."""
    fresh = Path(name + ".new")
    fresh.write_text(f"{hours * 3600:+.0f}\n", "ascii")
    fresh.replace(name)


def _jump(world: World, rng: Random) -> None:
    name = world.plan.environment[_FILE]
    for direction in rng.sample((-1, 1, -1, 1, -1, 1), 6):
        world.traffic.send(250)
        time.sleep(rng.uniform(0.2, 0.8))
        _set(name, direction * rng.uniform(1.0, _FARTHEST))
        time.sleep(rng.uniform(0.5, 1.5))
        if rng.random() < 0.4:
            world.database_proxy.cut()
    _set(name, 0)
    Path(name).unlink()


EXPERIMENTS = (
    Experiment(
        "clock-jump",
        "the workers' wall clock jumps by hours, both ways",
        "clock",
        _jump,
        missing=_missing,
        environment=_environment,
    ),
)
