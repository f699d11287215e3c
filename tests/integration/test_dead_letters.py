"""A dead letter that is sent back: the real worker stores it once, however often it is replayed."""

import json
import time

from kafka import KafkaProducer
from sqlalchemy import Engine, text

from pipeline.dead_letters import DeadLetter
from pipeline.reasons import Reason
from pipeline.settings import PipelineSettings
from storage.settings import StorageSettings
from tests.integration.conftest import Workers, count, environment, eventually, produce, read_all
from tests.integration.test_delivery import ids, messages
from tests.newsquake.test_cli import newsquake
from tests.storage.rows import recount, rollups


def test_replayed_letters_are_stored_once_and_what_is_still_invalid_stays_a_letter(
    workers: Workers, pipeline: PipelineSettings, database: Engine, storage_settings: StorageSettings
) -> None:
    env = {
        name: value
        for name, value in environment(pipeline, storage_settings).items()
        if name.startswith("NEWSQUAKE_PIPELINE_")
    }
    refused = [DeadLetter(Reason.CLASSIFIER, "…", topic, 0, n, b"wire", value)
               for n, (topic, value) in enumerate(messages(pipeline.comments_topic, 50))]  # fmt: skip
    producer = KafkaProducer(bootstrap_servers=pipeline.broker, acks="all")
    for letter in refused:
        headers = list(letter.headers.items())
        producer.send(pipeline.dead_letter_topic, key=letter.key, value=letter.value, headers=headers)
    producer.flush()
    producer.close()
    produce(pipeline, [(pipeline.news_topic, b"{nope"), (pipeline.news_topic, None)])
    workers.start()
    eventually(lambda: len(read_all(pipeline, pipeline.dead_letter_topic)) == 52, within=60, what="two more letters")
    for options, sent in ([], 50), ([], 0), (["--all"], 50), (["--offset", "7"], 1):
        done = newsquake("dead-letters", "replay", "--json", *options, **env)
        assert json.loads(done.stdout)["sent"] == sent, done.stderr
        eventually(lambda: count(database) == 50, within=60, what="the replayed ones stored")
    eventually(lambda: lag(env) == 0, within=30, what="everything read")
    time.sleep(1)  # for a second commit, were there one
    assert ids(database) == list(range(50))
    assert rollups(database) == recount(database)
    with database.connect() as connection:
        assert set(connection.execute(text("SELECT DISTINCT stream FROM documents")).scalars()) == {"comment"}
    listed = json.loads(newsquake("dead-letters", "list", "--json", **env).stdout)
    assert (listed["total"], listed["replayed"]) == (52, 50)
    assert listed["by_reason"] == {"classifier": 50, "not-json": 1, "tombstone": 1}


def lag(env: dict[str, str]) -> int:
    return int(json.loads(newsquake("topics", "lag", "--json", **env).stdout)["lag"])
