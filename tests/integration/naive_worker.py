"""Workers as one would write them at first, each with one mistake: the controls of `test_delivery`.

`python naive_worker.py MISTAKE` with the environment of the real worker. They share its parts and differ in one line:

    take      `stream.take` with an error on the way: Faust acknowledges the batch all the same
    early     acknowledges before the database has committed
    rollups   raises the rollups for every delivery, not for new documents only
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import faust
from faust.transport.drivers.aiokafka import Consumer
from sqlalchemy import text

from pipeline.app import create_app
from pipeline.batches import RawMessage, score_batch
from pipeline.settings import PipelineSettings
from storage.engine import open_engine
from storage.progress import Progress
from storage.settings import StorageSettings
from storage.writer import BatchWriter, ScoredDocument

MISTAKE = sys.argv[1]


class Verdict:
    topic, sentiment, negative, neutral, positive, confidence = "general", "neutral", 0.1, 0.8, 0.1, 0.8


class Constant:
    model_id = "constant"

    def score(self, texts: Sequence[str]) -> list[Verdict]:
        return [Verdict()] * len(texts)


class CountsTwice(BatchWriter):
    """Raises the rollups outside the transaction that stores the documents."""

    def write(self, batch: Sequence[ScoredDocument], progress: Sequence[Progress] = ()) -> int:
        stored = super().write(batch, progress)
        if stored < len(batch):
            with self._engine.begin() as connection:
                connection.execute(text("UPDATE sentiment_minute SET n = n + 1, neutral = neutral + 1"))
        return stored


settings = PipelineSettings()
scratch = tempfile.TemporaryDirectory()
app = create_app(settings, scratch.name)
app.transport.Consumer = Consumer  # Faust's own, which commits what agents acknowledge
kind = CountsTwice if MISTAKE == "rollups" else BatchWriter
writer = kind(open_engine(StorageSettings()), "constant")
topic = app.topic(settings.news_topic, key_serializer="raw", value_serializer="raw", value_type=bytes)
failed = False


def store(raw: list[RawMessage]) -> None:
    from datetime import UTC, datetime

    scored = score_batch(raw, streams={settings.news_topic: "news"}, classifier=Constant(), now=datetime.now(UTC))
    writer.write([document for _, document in scored.documents])


@app.agent(topic, concurrency=1)
async def naive(stream: Any) -> None:
    global failed
    if MISTAKE == "take":
        async for values in stream.take(64, within=0.1):
            if not failed:
                failed = True
                raise ConnectionError("the database is gone for a moment")
            await asyncio.to_thread(
                store, [RawMessage(settings.news_topic, 0, n, None, v) for n, v in enumerate(values)]
            )
    acknowledged = 0
    async for events in stream.noack_take(64, within=0.1):
        acknowledged += len(events)
        raw = [
            RawMessage(e.message.topic, e.message.partition, e.message.offset, None, e.message.value) for e in events
        ]
        if MISTAKE == "early":
            for event in events:
                await stream.ack(event)
            await app.consumer.commit()
            await asyncio.sleep(3600 if acknowledged >= 4 * 64 else 0)  # long enough to be killed in
        await asyncio.to_thread(store, raw)
        for event in events:
            await stream.ack(event)


async def main() -> None:
    app.finalize()
    await app.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await app.stop()


if __name__ == "__main__":
    assert faust
    asyncio.run(main())
    os._exit(0)
