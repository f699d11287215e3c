"""The real worker, its classifier slow and blind: `python -m bench.endurance.slow_worker SECONDS [hoard]`.

Each text takes SECONDS, but those of the first micro-batch nothing, so that the first commit comes before the worker
has read much. With `hoard` it takes in whatever Kafka has: the control of the backlog's benchmark, which must see such
a worker grow.
"""

import sys
import time
from collections.abc import Sequence

from bench.pipeline.constant_worker import Answer, Constant
from newsquake.logs import set_up_logs
from pipeline.consumer import SliceConsumer
from pipeline.inbox import Inbox
from pipeline.settings import PipelineSettings
from pipeline.worker import run_worker
from storage.engine import open_engine
from storage.settings import StorageSettings


class Slow(Constant):
    """A classifier whose speed is known."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = False

    def score(self, texts: Sequence[str]) -> list[Answer]:
        """Answers in due time."""
        if self._begun:
            time.sleep(len(texts) * self._seconds)
        self._begun = True
        return Constant.score(self, texts)


def main() -> int:
    """Run until SIGTERM."""
    set_up_logs()
    if "hoard" in sys.argv:
        SliceConsumer._has_room = lambda self, topic: True  # type: ignore[method-assign]
        Inbox._has_room = lambda self, stream: True  # type: ignore[method-assign]
    engine = open_engine(StorageSettings(), application="newsquake worker")
    return run_worker(PipelineSettings(), engine, Slow(float(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
