"""The real worker with a classifier whose speed is known: `python slow_worker.py SECONDS_A_TEXT [POLLED]`.

`POLLED` messages are read from Kafka at a time in place of the real number: a control of `test_flood`.
"""

import sys
import time
from collections.abc import Sequence

from pipeline import app
from pipeline.settings import PipelineSettings
from pipeline.worker import run_worker
from storage.engine import open_engine
from storage.settings import StorageSettings


class Verdict:
    topic, sentiment, negative, neutral, positive, confidence = "general", "neutral", 0.1, 0.8, 0.1, 0.8


class Slow:
    model_id = "slow"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def score(self, texts: Sequence[str]) -> list[Verdict]:
        time.sleep(len(texts) * self._seconds)
        return [Verdict()] * len(texts)


if __name__ == "__main__":
    app.POLLED = int(sys.argv[2]) if len(sys.argv) > 2 else app.POLLED
    sys.exit(run_worker(PipelineSettings(), open_engine(StorageSettings()), Slow(float(sys.argv[1]))))
