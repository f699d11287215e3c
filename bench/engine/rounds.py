"""The timing itself: everyone scores the same texts in turn, round after round, the order rotated each time.

What a machine does beside the benchmark so falls on all alike, and ratios are taken within a round. The first round
warms up and is not counted. Between turns there is a pause in which the last contender's threads fall asleep.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.engine.figures import Timings
from bench.engine.remote import Remote
from bench.engine.texts import Texts
from bench.errors import RemoteFailure

Watch = Callable[[str, int, int], None]
"""Called with the name of a stage, how many of its steps are done, and how many there are."""


@dataclass(slots=True)
class Lineup:
    """Contenders that are up, and those that are out."""

    up: dict[str, Remote] = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)
    """Why they are out, in a line."""

    def attempt(self, name: str, turn: Callable[[Remote], None]) -> None:
        """Let a contender do something; one that fails is out, and its process is ended."""
        try:
            turn(self.up[name])
        except RemoteFailure as failure:
            self.out[name] = str(failure)
            self.up.pop(name).close()


def run_rounds(
    contenders: Lineup,
    texts: Texts,
    rounds: int,
    watch: Watch,
    *,
    beside: Callable[[], None] = lambda: None,
    pause: float = 0.2,
) -> dict[str, Timings]:
    """Time everyone who is up and return those who finished; `beside` is done once in every counted round."""
    timings = {name: Timings() for name in contenders.up}
    names, chunk = list(contenders.up), -(-len(texts.singles) // rounds)
    total = (rounds + 1) * len(names)
    for number in range(rounds + 1):
        alone = texts.singles[:3] if number == 0 else texts.singles[(number - 1) * chunk : number * chunk]
        for turn, name in enumerate(rotated(names, number), number * len(names)):
            watch("rounds", turn, total)
            if name in contenders.up:
                time.sleep(pause)
                contenders.attempt(name, partial(_turn, texts, alone, timings[name] if number else Timings()))
        if number:
            beside()
    watch("rounds", total, total)
    return {name: timings[name] for name in contenders.up}


def rotated(names: Sequence[str], number: int) -> list[str]:
    """The names, begun `number` places further on."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def _turn(texts: Texts, alone: Sequence[str], into: Timings, remote: Remote) -> None:
    into.rounds.append(remote.call("round", texts.batch))
    into.singles.extend(remote.call("singles", alone))
