"""`newsquake worker`: one long-lived process that reads both streams, scores and stores them.

Ends with 0 after SIGTERM or SIGINT, with 1 when something failed that retrying did not cure (a supervisor then starts
it again, and it goes on where it stood). It never lingers: ten seconds after it was told to stop it is gone, which is
safe at any moment, since offsets are acknowledged only after the commit.
"""

import asyncio
import os
import signal
import tempfile
import threading
from datetime import UTC, datetime

import structlog
from sqlalchemy import Engine

from pipeline.app import Reporter, add_agents, create_app
from pipeline.batches import Classifier
from pipeline.dead_letters import DeadLetterTopic
from pipeline.microbatch import Policy
from pipeline.processor import Processor
from pipeline.progress import ProgressTracker
from pipeline.settings import PipelineSettings
from storage.progress import Progress, record_progress
from storage.writer import BatchWriter

log = structlog.get_logger(__name__)

STOP_WITHIN = 8.0  # seconds


def run_worker(settings: PipelineSettings, engine: Engine, classifier: Classifier) -> int:
    """Run until a signal or a failure; returns the exit code."""
    return asyncio.run(_Worker(settings, engine, classifier).run())


class _Worker:
    def __init__(self, settings: PipelineSettings, engine: Engine, classifier: Classifier) -> None:
        self._settings = settings
        self._engine = engine
        self._classifier = classifier

    async def run(self) -> int:
        with tempfile.TemporaryDirectory(prefix="newsquake-") as scratch:
            return await self._run(scratch)

    async def _run(self, scratch: str) -> int:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        settings = self._settings
        tracker = ProgressTracker()
        app = create_app(settings, scratch)
        processor = Processor(
            self._classifier,
            BatchWriter(self._engine, self._classifier.model_id),
            tracker,
            DeadLetterTopic(app, settings.dead_letter_topic).send,
            streams=settings.topics,
            policy=Policy(settings.max_wait, settings.token_budget, settings.batch_size),
            retry_for=settings.retry_for,
        )
        add_agents(app, settings, processor)
        reporter = Reporter(
            app, tracker, self._report, topics=frozenset(settings.topics), bound=settings.retry_for + 60
        )
        app.finalize()
        await app.start()
        log.info("worker_started", broker=settings.broker, group=settings.group, model=self._classifier.model_id)
        work = {
            asyncio.create_task(processor.run(), name="processor"),
            asyncio.create_task(reporter.run(), name="reporter"),
            asyncio.create_task(app.wait_until_stopped(), name="faust"),
            asyncio.create_task(stop.wait(), name="signal"),
        }
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        code = 0 if stop.is_set() else 1
        _leave_within(STOP_WITHIN, code)
        for task in done:
            if code:
                log.critical("worker_failed", part=task.get_name(), error=_reason(task, app.crash_reason))
        for task in work - done:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await app.stop()
        log.info("worker_stopped", code=code)
        return code

    def _report(self, progress: list[Progress]) -> None:
        with self._engine.begin() as connection:
            record_progress(connection, progress, now=datetime.now(UTC))


def _reason(task: "asyncio.Task[object]", crash: BaseException | None) -> str:
    error = task.exception() or crash
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if error else "the Kafka consumer stopped by itself"


def _leave_within(seconds: float, code: int) -> None:
    """End the process after `seconds` even if a thread or Kafka's client hangs."""
    timer = threading.Timer(seconds, os._exit, args=(code or 0,))
    timer.daemon = True
    timer.start()
