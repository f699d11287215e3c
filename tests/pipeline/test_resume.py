"""Where reading starts: the committed offset, unless the log, the topic or the database says otherwise."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from pipeline.resume import Start, Turn, announce, decide_start, unexplained
from storage.progress import Progress

OLD, NEW = UUID(int=1), UUID(int=2)


def known(stored: int, end: int = 100, topic_id: UUID | None = OLD) -> Progress:
    return Progress("news", 0, stored, end, None, topic_id)


@pytest.mark.parametrize(
    ("committed", "beginning", "end", "remembered", "start"),
    [
        pytest.param(None, 0, 0, None, Start(0), id="a new topic"),
        pytest.param(None, 7, 90, None, Start(7), id="a new group begins with what the log still holds"),
        pytest.param(40, 0, 90, None, Start(0, Turn.DATABASE_BEHIND), id="another database, or an emptied one"),
        pytest.param(40, 0, 90, known(40), Start(40), id="the usual case"),
        pytest.param(40, 0, 90, known(50), Start(40), id="killed between the database's commit and Kafka's"),
        pytest.param(40, 60, 90, known(40), Start(60, Turn.RETENTION, 20), id="retention overtook a stopped worker"),
        pytest.param(40, 60, 90, known(50), Start(60, Turn.RETENTION, 10), id="and what is stored is not lost"),
        pytest.param(40, 60, 90, None, Start(60, Turn.RETENTION, 20), id="retention, and no memory"),
        pytest.param(None, 60, 90, known(50), Start(60, Turn.RETENTION, 10), id="retention, and offsets expired too"),
        pytest.param(40, 60, 90, known(60), Start(60), id="retention passed only what is stored"),
        pytest.param(95, 0, 90, known(95), Start(0, Turn.TRUNCATED), id="the log ends before"),
        pytest.param(80, 0, 90, known(30), Start(30, Turn.DATABASE_BEHIND), id="a database from a backup"),
        pytest.param(80, 50, 90, known(30), Start(50, Turn.DATABASE_BEHIND, 20), id="a backup older than the log"),
        pytest.param(None, 0, 90, known(30), Start(0), id="offsets expired"),
    ],
)  # fmt: skip
def test_where_reading_starts(
    committed: int | None, beginning: int, end: int, remembered: Progress | None, start: Start
) -> None:
    assert decide_start(committed, beginning, end, remembered, OLD) == start


def test_a_topic_made_anew_is_read_from_its_beginning_and_the_unread_rest_of_the_old_one_is_lost() -> None:
    start = decide_start(40, 0, 90, known(40, end=55), NEW)
    assert start == Start(0, Turn.RECREATED, 15)


def test_without_ids_a_topic_is_taken_for_the_same() -> None:
    assert decide_start(40, 0, 90, known(40, topic_id=None), None) == Start(40)
    assert decide_start(40, 0, 90, known(30, topic_id=None), NEW) == Start(40), "known before there were ids"


offsets = st.integers(0, 100)


@settings(deadline=None)
@given(offsets | st.none(), offsets, offsets, offsets | st.none(), st.sampled_from([None, OLD, NEW]))
def test_no_message_that_is_in_the_log_and_not_stored_is_ever_skipped(
    committed: int | None, first: int, second: int, stored: int | None, topic_id: UUID | None
) -> None:
    beginning, end = min(first, second), max(first, second)
    remembered = None if stored is None else known(stored)
    start = decide_start(committed, beginning, end, remembered, topic_id)
    if remembered and topic_id == NEW:
        all_stored_below = 0
    elif remembered and topic_id == OLD and stored is not None and stored <= end:
        all_stored_below = stored
    else:
        all_stored_below = committed if remembered and committed is not None and committed <= end else 0
    assert beginning <= start.offset <= max(beginning, all_stored_below)


def test_a_loss_is_told_loudly_and_counted() -> None:
    labels = {"topic": "news", "partition": "3"}
    before = REGISTRY.get_sample_value("newsquake_pipeline_lost_messages_total", labels) or 0
    with capture_logs() as logs:
        announce(("news", 3), Start(60, Turn.RETENTION, 20), 40)
        announce(("news", 3), Start(0, Turn.TRUNCATED), 40)
        announce(("news", 3), Start(40), 40)
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("critical", "messages_lost"),
        ("error", "offsets_moved"),
    ]
    assert logs[0]["lost"] == 20 and logs[0]["topic"] == "news" and "retention" in logs[0]["reason"]
    assert REGISTRY.get_sample_value("newsquake_pipeline_lost_messages_total", labels) == before + 20


def test_holes_are_losses_only_where_the_log_no_longer_reaches_below_them() -> None:
    partition = ("news", 0)
    assert unexplained([(partition, 10, 11)], {partition: 0}) == [], "a transaction's marker"
    assert unexplained([(partition, 10, 30)], {partition: 30}) == [(partition, 20)]
    assert unexplained([(partition, 10, 30)], {partition: 500}) == [(partition, 20)]
    assert unexplained([(partition, 10, 30)], {partition: 15}) == [(partition, 5)]
