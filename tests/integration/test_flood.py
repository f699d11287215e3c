"""A flood in one stream, and what it does to the other: from Kafka's log to Postgres, with all buffers in between."""

from pathlib import Path

from sqlalchemy import Engine, text

from pipeline.settings import PipelineSettings
from tests.integration.conftest import Workers, eventually, produce
from tests.integration.test_delivery import messages

SLOW = str(Path(__file__).with_name("slow_worker.py"))


def stored(database: Engine, stream: str) -> int:
    with database.connect() as connection:
        counted = text("SELECT count(*) FROM documents WHERE stream = :stream")
        return int(connection.execute(counted, {"stream": stream}).scalar_one())


def comments_stored_before_news(
    workers: Workers, pipeline: PipelineSettings, database: Engine, *options: str
) -> tuple[int, int]:
    """How many comments are stored while some news is on its way, and how many then still wait."""
    flood = 12_000
    produce(pipeline, messages(pipeline.comments_topic, flood))
    workers.start(SLOW, "0.001", *options)
    eventually(lambda: stored(database, "comment") > 500, within=90, what="the flood under way")
    before = stored(database, "comment")
    produce(pipeline, messages(pipeline.news_topic, 20, start=flood))
    eventually(lambda: stored(database, "news") == 20, within=60, what="the news stored")
    after = stored(database, "comment")
    return after - before, flood - after


def test_news_that_come_into_a_flood_of_comments_do_not_wait_for_it_to_pass(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    passed, left = comments_stored_before_news(workers, pipeline, database)
    assert passed < 2_000 < left, (passed, left)


def test_the_count_catches_a_worker_in_which_all_stand_in_one_line(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    """Red control: with all messages in one line, the test above must fail."""
    passed, _ = comments_stored_before_news(workers, pipeline, database, "one-line")
    assert passed > 3_000
