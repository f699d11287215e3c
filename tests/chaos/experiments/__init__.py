"""All experiments, in the order in which they run."""

from tests.chaos.experiments import broker, clock, database, poison, topics, workers
from tests.chaos.experiments.base import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for family in (workers, database, broker, poison, topics, clock)
    for experiment in family.EXPERIMENTS
}
