"""The Faust app: one agent for each stream, feeding the processor.

Set up against the traps of faust-streaming 0.15: raw bytes are consumed and decoded later (an undecodable message
would silence `take`), a consumer that carries slices and commits what is stored (`pipeline/consumer.py`) in place of
Faust's acknowledgements, `concurrency=1` (so that a partition stays in order), no leader topic, no tables, no
exactly-once mode, no web server.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.types import AppT, StreamT

from pipeline.batches import RawMessage
from pipeline.consumer import HELD, SLICE, Slice, SliceConsumer
from pipeline.dead_letters import LARGEST_LETTER, replay_of
from pipeline.inbox import Received
from pipeline.microbatch import estimated_tokens
from pipeline.processor import Processor
from pipeline.settings import PipelineSettings, Stream


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
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=10_000,  # else a topic that was made anew would wait five minutes to be noticed
        stream_wait_empty=False,
        broker_max_poll_records=SLICE,
        stream_buffer_maxsize=2 * (HELD + SLICE),  # never full: the consumer holds back before
        producer_acks=-1,
        producer_compression_type="lz4",
        producer_max_request_size=LARGEST_LETTER,
        producer_request_timeout=30,  # Faust's twenty minutes would hide a broker that swallows dead letters
        topic_disable_leader=True,
        topic_allow_declare=False,
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        datadir=scratch,
    )
    app.transport.Consumer = SliceConsumer
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
    """One agent a stream: hands the records of each slice over, in order."""
    for topic, stream in settings.topics.items():
        channel = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        app.agent(channel, name=f"newsquake.{stream}", concurrency=1)(_collector(app, stream, processor))


def _collector(app: AppT, stream: Stream, processor: Processor) -> Callable[[StreamT], Awaitable[None]]:
    async def collect(events: StreamT) -> None:
        async for event in events.events():
            part: Slice = event.message
            await processor.submit(stream, _received(part, time.monotonic()))
            app.consumer.handed_over(part)

    return collect


def _received(part: Slice, arrived: float) -> list[Received]:
    topic, partition, generation = part.topic, part.partition, part.generation
    return [
        Received(
            RawMessage(topic, partition, record.offset, record.key, record.value, replay_of(record.headers)),
            arrived,
            estimated_tokens(record.value, record.key),
            generation,
            record.timestamp / 1000,
        )
        for record in part.records
    ]
