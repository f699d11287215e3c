"""What an experiment is: a name, what it breaks, the planted fault that it must catch, and the trouble it makes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.chaos.world import World


@dataclass(frozen=True, slots=True)
class Experiment:
    """`trouble` runs while traffic flows, and leaves as many workers wanted as there were."""

    name: str
    breaks: str
    control: str
    """The fault in `tests.chaos.faults` with which the count must not come out even."""
    trouble: Callable[[World, Random], None]
    backlog: int = 1_200
    """Messages that wait when the workers start."""
    rate: float = 120
    """Messages a second while the trouble lasts, beside what it sends itself."""
    durable: bool = False
    """Whether it needs a broker whose data outlives its process, which has Kafka's administration too."""
    audited: bool = True
    """Whether committed offsets may neither fall nor run ahead; not where the topic or the rows that they count are
    taken away."""
    prepare: Callable[[World], None] = lambda world: None
    """Done to the run's database before anything else."""
    missing: Callable[[], str] = str
    """Says what this machine lacks for it; empty: nothing."""
    traffic: Mapping[str, object] = field(default_factory=dict)
    environment: Callable[[], dict[str, str]] = dict
    """What the workers' environment has besides."""
