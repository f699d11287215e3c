"""A worker whose classifier costs nothing: the plumbing alone. `python -m bench.pipeline.constant_worker`

It takes the environment of `newsquake worker` and runs the same code. Topics and sentiments are answered in turn, so
that minute rollups get as many rows as from a classifier that reads.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from models.labels import SENTIMENTS, TOPICS
from newsquake.logs import set_up_logs
from pipeline.settings import PipelineSettings
from pipeline.worker import run_worker
from storage.engine import open_engine
from storage.settings import StorageSettings


@dataclass(frozen=True, slots=True)
class Answer:
    """A score that nobody has computed."""

    topic: str
    sentiment: str
    negative: float = 0.2
    neutral: float = 0.3
    positive: float = 0.5
    confidence: float = 0.5


_ANSWERS = [Answer(topic, sentiment) for topic, sentiment in product(TOPICS, SENTIMENTS)]


class Constant:
    """Answers without reading."""

    model_id = "constant"

    def score(self, texts: Sequence[str]) -> list[Answer]:
        """The same answers for every batch."""
        return (_ANSWERS * (len(texts) // len(_ANSWERS) + 1))[: len(texts)]


def main() -> int:
    """Run until SIGTERM."""
    set_up_logs()
    return run_worker(PipelineSettings(), open_engine(StorageSettings(), application="newsquake worker"), Constant())


if __name__ == "__main__":
    sys.exit(main())
