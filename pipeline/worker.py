"""`newsquake worker`: one long-lived process that reads both streams, scores and stores them.

Ends with 0 after SIGTERM or SIGINT, with 1 when something failed that retrying did not cure (a supervisor then starts
it again, and it goes on where it stood). It never lingers: ten seconds after it was told to stop it is gone, which is
safe at any moment, since offsets are committed only after the database has the messages.
"""

import asyncio
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import structlog
from faust.types import TP, AppT
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from pipeline import metrics
from pipeline.app import add_agents, create_app
from pipeline.batches import Classifier
from pipeline.consumer import SliceConsumer
from pipeline.dead_letter_archive import recent
from pipeline.dead_letter_limit import DeadLetterLimit
from pipeline.dead_letters import DeadLetterTopic
from pipeline.errors import PipelineError, Stuck
from pipeline.health import Health
from pipeline.microbatch import Policy
from pipeline.processor import Processor
from pipeline.progress import Partition, ProgressTracker
from pipeline.reporter import Reporter
from pipeline.settings import PipelineSettings
from pipeline.topic_ids import TopicIds
from pipeline.watchdog import Watchdog, dump_stacks
from storage.faults import meaning
from storage.progress import Progress, read_progress, record_progress
from storage.writer import BatchWriter

log = structlog.get_logger(__name__)

STOP_WITHIN = 8.0  # seconds
FRESH = 10.0  # seconds that a report to the database stands for its being reachable
_REMEMBER_WITHIN = 15.0  # seconds that the newest dead letters may take, while nothing is read


def run_worker(settings: PipelineSettings, engine: Engine, classifier: Classifier) -> int:
    """Run until a signal or a failure; returns the exit code. Raises `PortInUse`."""
    return asyncio.run(_Worker(settings, engine, classifier).run())


class _Worker:
    def __init__(self, settings: PipelineSettings, engine: Engine, classifier: Classifier) -> None:
        self._settings = settings
        self._engine = engine
        self._classifier = classifier
        self._tracker = ProgressTracker()
        self._topic_ids = TopicIds(settings)
        self._watchdog = Watchdog(settings.patience)
        self._tasks: set[asyncio.Task[None]] = set()
        self._limit = DeadLetterLimit(settings.dead_letter_ratio, settings.dead_letter_run)

    async def run(self) -> int:
        with tempfile.TemporaryDirectory(prefix="newsquake-") as scratch:
            app = create_app(self._settings, scratch)
            consumer: SliceConsumer = app.consumer
            processor = self._processor(app, consumer)
            add_agents(app, self._settings, processor)
            reporter = self._reporter(consumer)
            async with Health(
                self._settings.health_host, self._settings.health_port, lambda: self._readiness(reporter)
            ):
                return await self._work(app, processor, reporter)

    def _processor(self, app: AppT, consumer: SliceConsumer) -> Processor:
        settings = self._settings
        processor = Processor(
            self._classifier,
            BatchWriter(self._engine, self._classifier.model_id),
            self._tracker,
            DeadLetterTopic(app, settings.dead_letter_topic).send,
            consumer.stored,
            self._limit,
            streams=settings.topics,
            policy=Policy(settings.max_wait, settings.token_budget, settings.batch_size),
            retry_for=settings.retry_for,
        )
        consumer.dealt = lambda generation, partitions: self._dealt(processor, generation, partitions)
        return processor

    def _dealt(self, processor: Processor, generation: int, partitions: frozenset[TP]) -> None:
        """Start over with the partitions that the group's coordinator gave us; none while it makes up its mind."""
        own = sorted((tp.topic, tp.partition) for tp in partitions if tp.topic in self._settings.topics)
        if own:
            metrics.REBALANCES.inc()
            log.info("partitions_assigned", partitions=[f"{topic}/{number}" for topic, number in own])
            self._limit.assign(own)  # not while it makes up its mind: those that stay go on
        self._tracker.assign(own)
        metrics.forget_partitions()
        task = asyncio.ensure_future(processor.new_generation(generation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_reading(self, reporter: Reporter, committed: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """Before the first record of a deal is read: where to start, and which dead letters lie right before that."""
        starts: Mapping[TP, int]
        starts, _ = await asyncio.gather(reporter.start_reading(committed), self._remember_dead_letters(committed))
        return starts

    async def _remember_dead_letters(self, own: Iterable[Partition]) -> None:
        """What other workers, or this one in an earlier life, have dead-lettered of these partitions just now."""
        run, within = self._settings.dead_letter_run, _REMEMBER_WITHIN
        if run is None:
            return
        try:
            async with asyncio.timeout(within):
                letters = await asyncio.to_thread(recent, self._settings, run, within)
        except (PipelineError, TimeoutError) as error:
            log.warning("dead_letters_not_read", error=str(error) or f"not within {within:.0f} s")
        else:
            self._limit.assign([(topic, number) for topic, number in own], letters)

    def _reporter(self, consumer: SliceConsumer) -> Reporter:
        reporter = Reporter(
            consumer,
            self._tracker,
            read=self._read,
            write=self._write,
            topics=self._settings.topics,
            topic_ids=self._topic_ids.read,
            bound=self._settings.patience,
            patience=min(60.0, self._settings.retry_for),
            clock=self._watchdog.clock,
        )
        consumer.start_reading = lambda committed: self._start_reading(reporter, committed)
        return reporter

    async def _work(self, app: AppT, processor: Processor, reporter: Reporter) -> int:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()

        def leave() -> None:
            stop.set()
            _leave_within(STOP_WITHIN, 0)  # from now on: joining the group may take longer, and has nothing to lose

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, leave)
        self._watchdog.start()
        app.finalize()
        await app.start()
        log.info(
            "worker_started",
            broker=self._settings.broker,
            group=self._settings.group,
            model=self._classifier.model_id,
        )
        work: set[asyncio.Task[object]] = {
            asyncio.create_task(processor.run(), name="processor"),
            asyncio.create_task(reporter.run(), name="reporter"),
            asyncio.create_task(self._watchdog.beat(), name="watchdog"),
            asyncio.create_task(app.wait_until_stopped(), name="faust"),
            asyncio.create_task(stop.wait(), name="signal"),
        }
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        code = 0 if stop.is_set() else 1
        _leave_within(STOP_WITHIN, code)
        self._watchdog.stop()
        for task in done:
            if code:
                _tell(task, app.crash_reason)
        for task in work - done:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await app.stop()
        self._topic_ids.close()
        log.info("worker_stopped", code=code)
        return code

    def _readiness(self, reporter: Reporter) -> Mapping[str, str | None]:
        written = reporter.written_at
        fresh = written is not None and time.monotonic() - written < FRESH
        return {
            "model": None,  # this server starts after the model is warm
            "partitions": None if self._tracker.is_ready else "no partition is assigned, or not reported yet",
            "database": None if fresh else f"has taken no report for {FRESH:.0f} s",
        }

    def _read(self) -> dict[Partition, Progress]:
        try:
            with self._engine.begin() as connection:
                return read_progress(connection)
        except DBAPIError as error:
            raise meaning(error) or error from error

    def _write(self, progress: list[Progress]) -> None:
        try:
            with self._engine.begin() as connection:
                record_progress(connection, progress, now=datetime.now(UTC))
        except DBAPIError as error:
            raise meaning(error) or error from error


def _tell(task: "asyncio.Task[object]", crash: BaseException | None) -> None:
    """Log why the worker ends, with the stacks of all threads where it was stuck."""
    error = task.exception() or crash
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    reason = f"{type(error).__name__}: {error}" if error else "the Kafka consumer stopped by itself"
    log.critical("worker_failed", part=task.get_name(), error=reason)
    if isinstance(error, Stuck):
        dump_stacks()


def _leave_within(seconds: float, code: int) -> None:
    """End the process after `seconds` even if a thread or Kafka's client hangs."""
    timer = threading.Timer(seconds, os._exit, args=(code,))
    timer.daemon = True
    timer.start()
