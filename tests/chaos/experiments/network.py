"""What a network can do to a connection, one after another, in an order of its own each time."""

import time
from collections.abc import Callable
from random import Random

from tests.chaos.proxy import Proxy, Side
from tests.chaos.world import World

_CONNECTED_SECONDS = 15.0


def bad_weather(world: World, proxy: Proxy, rng: Random, *, stall: tuple[float, float]) -> None:
    """Every kind of trouble once; a stall lasts between these seconds. Ends in good weather."""
    kinds: list[Callable[[], float]] = [
        lambda: _cut(proxy, rng),
        lambda: _lose_answers(proxy, rng),
        lambda: _slow(proxy, rng),
        lambda: _narrow(proxy, rng),
        lambda: _half(proxy, rng),
        lambda: _stall(proxy, rng, stall),
    ]
    rng.shuffle(kinds)
    for kind in kinds:
        world.traffic.send(250)
        time.sleep(rng.uniform(0.1, 0.5))
        time.sleep(kind())
        if rng.random() < 0.5:
            proxy.cut()  # what was on its way is lost
        proxy.heal()


def _hits(act: Callable[[], int]) -> None:
    """Do it once there is a connection that it meets; raises `TimeoutError` where there is none for long."""
    deadline = time.monotonic() + _CONNECTED_SECONDS
    while not act():
        if time.monotonic() > deadline:
            raise TimeoutError("the workers had no connection that could be harmed")
        time.sleep(0.05)


def _cut(proxy: Proxy, rng: Random) -> float:
    _hits(proxy.cut)
    for _ in range(rng.randint(1, 5)):
        time.sleep(rng.uniform(0.02, 0.3))
        proxy.cut()
    return 0.2


def _lose_answers(proxy: Proxy, rng: Random) -> float:
    """What was asked has arrived and is done; whoever asked never hears of it. A commit is such a question."""
    met = 0
    for _ in range(12):
        proxy.delay(0.01)
        time.sleep(rng.uniform(0.1, 0.7))
        proxy.stall("client")
        time.sleep(0.06)
        met += proxy.cut()
        proxy.heal()
    _hits(lambda: met)
    return 0.2


def _slow(proxy: Proxy, rng: Random) -> float:
    proxy.delay(rng.uniform(0.02, 0.3), jitter=0.1)
    return 1.5


def _narrow(proxy: Proxy, rng: Random) -> float:
    proxy.throttle(rng.uniform(5_000, 50_000))
    return 1.5


def _half(proxy: Proxy, rng: Random) -> float:
    side: Side = rng.choice(("client", "server"))
    _hits(lambda: proxy.half_close(side))
    return rng.uniform(0.3, 1.5)


def _stall(proxy: Proxy, rng: Random, seconds: tuple[float, float]) -> float:
    proxy.stall(*rng.choice(((), ("client",), ("server",))))
    return rng.uniform(*seconds)
