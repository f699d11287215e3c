"""The Faust app: one agent for each stream, feeding the processor; and the reporter that watches its progress.

Set up against the traps of faust-streaming 0.15: raw bytes are consumed and decoded later (an undecodable message
would silence `take`), `noack_take` with explicit acknowledgement after the commit (`take` acknowledges batches that
failed), `concurrency=1` (acknowledgements out of order can pass a message in flight), a consumer of our own make that
does not stand still while the buffer of one topic is full, no leader topic, no tables, no exactly-once mode, no web
server.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.auth import SASLCredentials, SSLCredentials
from faust.types import AppT, EventT, StreamT
from sqlalchemy.exc import SQLAlchemyError

from pipeline.batches import RawMessage
from pipeline.consumer import POLLED, PromptConsumer, buffer_size
from pipeline.inbox import Received
from pipeline.microbatch import estimated_tokens
from pipeline.processor import Processor
from pipeline.progress import ProgressTracker
from pipeline.settings import PipelineSettings, Stream
from pipeline.topics import DEAD_LETTER_BYTES
from storage.progress import Progress

log = structlog.get_logger(__name__)

_DELIVERY = 64
"""Messages that an agent hands over at once; the policy divides them as it likes."""
_COLLECT_FOR = 0.02
"""Seconds until an agent hands over what it has: a part of `max_wait`, and what an idle agent sleeps between looks."""


def create_app(settings: PipelineSettings, scratch: str) -> AppT:
    """A Faust app without agents, connected to nothing yet; the folder that it insists on goes into `scratch`."""
    app = faust.App(
        settings.group,
        broker=[f"kafka://{address}" for address in settings.broker.split(",")],
        broker_credentials=_credentials(settings),
        broker_session_timeout=6,
        broker_heartbeat_interval=1,
        broker_rebalance_timeout=12,
        broker_commit_interval=1,
        broker_commit_every=10_000,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        broker_max_poll_records=POLLED,
        stream_buffer_maxsize=buffer_size(settings.partitions),
        producer_acks=-1,
        producer_compression_type="lz4",
        producer_max_request_size=DEAD_LETTER_BYTES,
        topic_disable_leader=True,
        topic_allow_declare=False,
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        datadir=scratch,
    )
    app.transport.Consumer = PromptConsumer
    return app


def _credentials(settings: PipelineSettings) -> SASLCredentials | SSLCredentials | None:
    if settings.security_protocol.startswith("SASL"):
        return SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value() if settings.sasl_password else None,
            mechanism=settings.sasl_mechanism,
            ssl_context=_ssl_context(settings) if settings.security_protocol == "SASL_SSL" else None,
        )
    return SSLCredentials(_ssl_context(settings)) if settings.security_protocol == "SSL" else None


def _ssl_context(settings: PipelineSettings) -> Any:
    import ssl

    return ssl.create_default_context(cafile=settings.ssl_cafile)


def add_agents(app: AppT, settings: PipelineSettings, processor: Processor) -> None:
    """One agent a stream: hands raw messages over in small deliveries, in order."""
    for topic, stream in settings.topics.items():
        channel = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        app.agent(channel, name=f"newsquake.{stream}", concurrency=1)(_collector(settings, stream, processor))


def _collector(
    settings: PipelineSettings, stream: Stream, processor: Processor
) -> Callable[[StreamT], Awaitable[None]]:
    within = min(_COLLECT_FOR, settings.max_wait / 4)

    async def collect(events: StreamT) -> None:
        async for delivery in events.noack_take(_DELIVERY, within=within):
            arrived = time.monotonic() - within  # of the first one, at the earliest
            await processor.submit(
                stream, [_received(event, arrived, partial(events.ack, event)) for event in delivery]
            )

    return collect


def _received(event: EventT, arrived: float, acknowledge: Callable[[], Awaitable[object]]) -> Received:
    message = event.message
    raw = RawMessage(message.topic, message.partition, message.offset, message.key, message.value)
    return Received(raw, arrived, estimated_tokens(raw.value), acknowledge)


class Reporter:
    """Once a second: partition ends from Kafka into `stream_progress`, and the watchdog against standing still."""

    def __init__(
        self,
        app: AppT,
        tracker: ProgressTracker,
        store: Callable[[list[Progress]], None],
        *,
        topics: frozenset[str],
        bound: float,
    ) -> None:
        self._app = app
        self._tracker = tracker
        self._store = store
        self._topics = topics
        self._bound = bound
        app.on_partitions_assigned.connect(self._assigned, weak=False)

    async def _assigned(self, _app: AppT, assigned: Any, **_: Any) -> None:
        partitions = sorted((tp.topic, tp.partition) for tp in assigned if tp.topic in self._topics)
        log.info("partitions_assigned", partitions=[f"{topic}/{number}" for topic, number in partitions])
        self._tracker.assign(partitions)

    async def run(self) -> None:
        """Report until cancelled. Raises `TimeoutError` when a backlog stands still for longer than the bound."""
        while True:
            try:
                await self._report()
            except (KafkaError, SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("progress_not_reported", error=f"{type(error).__name__}: {error}".splitlines()[0])
            still = self._tracker.standing_still(now=time.monotonic(), bound=self._bound)
            if still:
                raise TimeoutError(f"no progress for {self._bound:.0f} s on {', '.join(f'{t}/{p}' for t, p in still)}")
            await asyncio.sleep(1)

    async def _report(self) -> None:
        assigned = self._tracker.assigned
        if not assigned:
            return
        consumer = self._app.consumer
        partitions = [faust.types.TP(topic, number) for topic, number in sorted(assigned)]
        async with asyncio.timeout(10):
            listed = await consumer.highwaters(*partitions)
            positions = {(tp.topic, tp.partition): await consumer.position(tp) for tp in partitions}
        known = {partition: position for partition, position in positions.items() if position is not None}
        waiting = {(message.tp.topic, message.tp.partition) for message in consumer.unacked}
        # Tansu lists the last batch as one message; what the consumer has fetched knows better.
        ends = {(tp.topic, tp.partition): max(listed.get(tp) or 0, consumer.highwater(tp) or 0) for tp in partitions}
        progress = self._tracker.observe(
            ends,
            known,
            assigned - waiting,
            time.monotonic(),
        )
        await asyncio.to_thread(self._store, progress)
        if assigned == self._tracker.assigned:
            self._tracker.reported()
