"""Each part of the pipeline by itself: functions that are run one at a time, in processes of their own.

What they need is made before their clocks start: the model is loaded and warm, documents are scored, the consumer knows
its partitions.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from pipeline.settings import Stream

BATCH = 512
"""Documents in a transaction of the writer alone."""


def engine_alone(batches: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The resident engine over micro-batches, cache and settings as in a worker; the last figure is untimed."""
    from models.checkpoint import read_checkpoint
    from models.engine import Engine
    from models.settings import ModelsSettings

    began = time.perf_counter()
    settings = ModelsSettings()
    engine = Engine.load(settings)
    engine.warm_up()
    ready, used = time.perf_counter(), time.process_time()
    for batch in batches:
        engine.score(batch)
    seconds, used = time.perf_counter() - ready, time.process_time() - used
    documents = sum(map(len, batches))
    tokenizer = read_checkpoint(settings.checkpoint).tokenizer
    tokenizer.enable_truncation(settings.max_tokens)
    tokens = sum(len(encoding) for batch in batches for encoding in tokenizer.encode_batch_fast(list(batch)))
    return {
        "docs_per_s": documents / seconds,
        "seconds": seconds,
        "ready_s": ready - began,
        "batches": len(batches),
        "cpu_s": {"engine": round(used, 2)},
        "mean_tokens": tokens / documents,
    }


def raw_consumer(broker: str, topics: Sequence[str], partitions: int, total: int) -> dict[str, float]:
    """aiokafka reading `total` messages from the beginning of all partitions, and nothing else.

    Raises:
        TimeoutError: they are not there.
    """
    return asyncio.run(_read(broker, [(topic, number) for topic in topics for number in range(partitions)], total))


async def _read(broker: str, partitions: Sequence[tuple[str, int]], total: int) -> dict[str, float]:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        began = time.perf_counter()
        consumer.assign([TopicPartition(*partition) for partition in partitions])
        messages = size = 0
        async with asyncio.timeout(120):
            while messages < total:
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    messages += len(records)
                    size += sum(len(record.value) for record in records)
        seconds = time.perf_counter() - began
    finally:
        await consumer.stop()
    return {"docs_per_s": messages / seconds, "mb_per_s": size / 1e6 / seconds, "seconds": seconds}


def writer_alone(url: str, streams: Mapping[str, Stream], values: Sequence[tuple[str, bytes]]) -> dict[str, float]:
    """The batch writer over documents of (topic, value) pairs, which were decoded and scored before.

    Raises:
        ValueError: fewer documents are stored than were given.
    """
    from bench.pipeline.constant_worker import Constant
    from pipeline.batches import RawMessage, score_batch
    from storage.engine import open_engine
    from storage.settings import StorageSettings
    from storage.writer import BatchWriter

    engine = open_engine(StorageSettings(url=SecretStr(url)), application="newsquake bench")
    writer = BatchWriter(engine, Constant.model_id)
    raw = [RawMessage(topic, 0, number, None, value) for number, (topic, value) in enumerate(values)]
    scored = score_batch(raw, streams=streams, classifier=Constant(), now=datetime.now(UTC))
    documents = [document for _, document in scored.documents]
    batches = [documents[at : at + BATCH] for at in range(0, len(documents), BATCH)]
    writer.write([])  # connects
    began = time.perf_counter()
    stored = sum(writer.write(batch) for batch in batches)
    seconds = time.perf_counter() - began
    engine.dispose()
    if stored != len(values):
        raise ValueError(f"{stored:,} documents are stored of {len(values):,}")
    return {"docs_per_s": stored / seconds, "seconds": seconds, "batches": len(batches)}
