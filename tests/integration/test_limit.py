"""A topic that turns bad stops the worker, and starts of it again do not dead-letter it bit by bit."""

from sqlalchemy import Engine

from pipeline.settings import PipelineSettings
from tests.integration.conftest import Workers, count, eventually, produce, read_all
from tests.integration.test_delivery import messages

RUN = 80


def test_a_run_of_bad_messages_stops_the_worker_at_every_start_until_the_limit_is_raised(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    workers.set("NEWSQUAKE_PIPELINE_DEAD_LETTER_RUN", str(RUN))
    workers.set("NEWSQUAKE_PIPELINE_DEAD_LETTER_RATIO", "1")
    good = messages(pipeline.news_topic, 50)
    produce(pipeline, [*good, *[(pipeline.news_topic, b"{")] * 1_000])
    for _ in range(3):
        assert workers.start().wait(60) == 1
        letters = read_all(pipeline, pipeline.dead_letter_topic)
        assert len(letters) <= RUN, "another start is not another run"
    assert "messages in a row are invalid" in workers.log
    workers.set("NEWSQUAKE_PIPELINE_DEAD_LETTER_RUN", "100000")
    workers.start()
    eventually(lambda: count(database) == 50, within=60, what="the good ones stored")
    eventually(lambda: letters_of(pipeline) == 1_000, within=60, what="all bad ones dead-lettered")


def letters_of(pipeline: PipelineSettings) -> int:
    """Distinct messages among the dead letters."""
    letters = read_all(pipeline, pipeline.dead_letter_topic)
    return len({(headers["topic"], headers["partition"], headers["offset"]) for _, headers in letters})
