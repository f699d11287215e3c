"""The real worker with a classifier whose speed is known: `python slow_worker.py SECONDS_A_TEXT [one-line]`.

With `one-line` it reads as much as it can get and lets the messages of all streams stand in one line: a control of
`test_flood`.
"""

import sys
import time
from collections.abc import Sequence

from pipeline.consumer import SliceConsumer
from pipeline.inbox import Inbox
from pipeline.processor import Processor
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
    if "one-line" in sys.argv:
        SliceConsumer._has_room = lambda consumer, topic: True  # type: ignore[method-assign]
        Inbox._has_room = lambda inbox, stream: True  # type: ignore[method-assign]
        Processor.submit = lambda self, stream, messages: self._inbox.put("news", messages)  # type: ignore[method-assign]
    sys.exit(run_worker(PipelineSettings(), open_engine(StorageSettings()), Slow(float(sys.argv[1]))))
