"""`make chaos`: every experiment with every seed, each first shown to catch a broken worker.

Ends with `chaos: E experiments, S seeds, L lost, D doubled`; exit code 1 where anything was lost, doubled, counted
wrong, acknowledged too early, not said, or where a broken worker was not caught.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console

from tests.chaos.experiments import EXPERIMENTS
from tests.chaos.experiments.base import Experiment
from tests.chaos.harness import Outcome, run
from tests.chaos.servers import Servers

_TRIES = 3  # in which a control must be caught
_SHORT = ("worker-sigkill", "network-database", "broker-crash")
_SHORT_TANSU = tuple("broker-outage" if name == "broker-crash" else name for name in _SHORT)
_SHORT_CONTROLS = ("network-database",)
_HEAD = (
    "experiment",
    "workers",
    "seed",
    "produced",
    "stored",
    "dead",
    "lost",
    "doubled",
    "rollups",
    "early",
    "restarts",
)
_WIDTHS = (28, 7, 4, 8, 7, 6, 6, 7, 7, 6, 8)


class Suite:
    """Runs what the options ask for, and keeps the outcomes."""

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        self._options = options
        self._console = console
        self.outcomes: list[Outcome] = []
        self.uncaught: list[str] = []
        self.broken_off: list[str] = []
        self.skipped: dict[str, str] = {}

    @property
    def failed(self) -> bool:
        earnest = [outcome for outcome in self.outcomes if not outcome.broken]
        return (
            bool(self.uncaught or self.broken_off) or not earnest or any(not outcome.count.clean for outcome in earnest)
        )

    @property
    def last_line(self) -> str:
        earnest = [outcome for outcome in self.outcomes if not outcome.broken]
        experiments = len({outcome.experiment for outcome in earnest})
        lost, doubled = (sum(getattr(outcome.count, name) for outcome in earnest) for name in ("lost", "doubled"))
        return f"chaos: {experiments} experiments, {self._options.seeds} seeds, {lost} lost, {doubled} doubled"

    def run(self) -> None:
        with Servers() as servers:
            self._console.print(f"broker: {servers.broker.name}; red controls first, then the real worker")
            self._console.print(_line(_HEAD) + "  seconds", style="bold", soft_wrap=True)
            chosen = list(self._chosen(servers))
            for experiment in chosen:
                if not self._options.no_controls and (not self._options.short or experiment.name in _SHORT_CONTROLS):
                    self._control(servers, experiment)
            for experiment in chosen:
                for workers in self._options.workers:
                    for seed in range(1, self._options.seeds + 1):
                        self._try(servers, experiment, workers, seed)
            for name, lacks in self.skipped.items():
                self._console.print(f"not tried: {name} ({lacks})", style="yellow", soft_wrap=True)

    def _try(
        self, servers: Servers, experiment: Experiment, workers: int, seed: int, broken: str | None = None
    ) -> Outcome | None:
        """One run; None, and the suite has failed, where it could not be brought to its end."""
        try:
            outcome = run(servers, experiment, workers=workers, seed=seed, broken=broken)
        except Exception as error:
            what = f"{experiment.name}, {workers} workers, seed {seed}: {type(error).__name__}: {error}"
            self.broken_off.append(what)
            self._console.print(what, style="bold red", soft_wrap=True)
            return None
        self._note(outcome)
        return outcome

    def _chosen(self, servers: Servers) -> Iterator[Experiment]:
        short = _SHORT if servers.durable else _SHORT_TANSU
        names = self._options.only or (short if self._options.short else EXPERIMENTS)
        for name in names:
            experiment = EXPERIMENTS[name]
            lacks = "" if servers.durable or not experiment.durable else "needs Apache Kafka (NEWSQUAKE_KAFKA_HOME)"
            if lacks := lacks or experiment.missing():
                self.skipped[name] = lacks
            else:
                yield experiment

    def _control(self, servers: Servers, experiment: Experiment) -> None:
        for seed in range(1, _TRIES + 1):
            outcome = self._try(servers, experiment, min(self._options.workers), seed, experiment.control)
            if outcome and outcome.caught:
                return
        self.uncaught.append(experiment.name)
        told = f"{experiment.name} did not catch the fault {experiment.control!r}; log: {outcome.log}"
        self._console.print(told, style="bold red", soft_wrap=True)

    def _note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        count = outcome.count
        name = f"{outcome.experiment} ({outcome.broken})" if outcome.broken else outcome.experiment
        numbers = (outcome.workers, outcome.seed, count.produced, count.stored, count.dead, count.lost, count.doubled)
        cells = (name, *numbers, "off" if count.rollups_off else "ok", count.early, outcome.restarts)
        ending = "  caught" if outcome.caught else "" if count.clean else f"  {_why(outcome)}"
        style = "dim" if outcome.broken else "green" if count.clean else "bold red"
        self._console.print(_line(cells) + f"  {outcome.seconds:6.1f}" + ending, style=style, soft_wrap=True)


def _line(cells: tuple[object, ...]) -> str:
    return " ".join(
        f"{cell!s:<{width}}" if at == 0 else f"{cell!s:>{width}}"
        for at, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )


def _why(outcome: Outcome) -> str:
    count = outcome.count
    told = [f"{name} {value}" for name in ("stray", "fallen") if (value := getattr(count, name))]
    told += ["not all stored in time"] if count.hung else []
    told += ["hardly audited"] if count.blind else []
    told += [f"not said: {count.said}"] if count.said else []
    told += [f"lost: {', '.join(count.where)}"] if count.lost else []
    return "; ".join([*told, f"log: {outcome.log}"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=lambda text: [int(part) for part in text.split(",")], default=[1, 3])
    parser.add_argument("--only", nargs="+", choices=list(EXPERIMENTS), metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--short", action="store_true", help="three experiments, one seed, two workers, one control")
    parser.add_argument("--no-controls", action="store_true")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, the rest on stderr")
    options = parser.parse_args()
    if options.short:
        options.seeds, options.workers = 1, [2]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers' folder is removed all the same
    console = Console(stderr=options.json, highlight=False)
    suite = Suite(options, console)
    suite.run()
    if options.json:
        document = {
            "outcomes": [asdict(outcome) for outcome in suite.outcomes],
            "uncaught": suite.uncaught,
            "broken_off": suite.broken_off,
            "skipped": suite.skipped,
            "failed": suite.failed,
        }
        sys.stdout.write(json.dumps(document) + "\n")
    console.print(suite.last_line, soft_wrap=True)
    return int(suite.failed)


if __name__ == "__main__":
    sys.exit(main())
