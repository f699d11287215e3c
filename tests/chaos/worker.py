"""The real worker with a classifier of known cost: `python -m tests.chaos.worker SECONDS_A_TEXT [--broken FAULT]`.

It runs exactly what `newsquake worker` runs. `--broken` plants one fault (`faults.py`), for the red controls.
"""

import argparse
import select
import sys
from collections.abc import Sequence

from newsquake.logs import set_up_logs
from pipeline.settings import PipelineSettings
from pipeline.worker import run_worker
from storage.engine import open_engine
from storage.settings import StorageSettings
from tests.chaos.faults import FAULTS

_NAMES = ("negative", "neutral", "positive")


class Verdict:
    """The sentiment follows from the text, so that a wrong rollup shows."""

    topic, confidence = "general", 0.8

    def __init__(self, content: str) -> None:
        chosen = len(content) % 3
        self.sentiment = _NAMES[chosen]
        self.negative, self.neutral, self.positive = (0.8 if at == chosen else 0.1 for at in range(3))


class Constant:
    """Always takes the same time a text."""

    model_id = "constant"

    def __init__(self, cost: float) -> None:
        self._cost = cost

    def score(self, texts: Sequence[str]) -> list[Verdict]:
        # Not `time.sleep`: under libfaketime 0.9.10 that fails, an absolute time on a clock that is not to be faked.
        select.select((), (), (), len(texts) * self._cost)
        return [Verdict(content) for content in texts]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("cost", type=float, help="seconds a text")
    parser.add_argument("--broken", choices=sorted(FAULTS))
    options = parser.parse_args()
    set_up_logs()
    if options.broken:
        FAULTS[options.broken]()
    return run_worker(PipelineSettings(), open_engine(StorageSettings()), Constant(options.cost))


if __name__ == "__main__":
    sys.exit(main())
