"""What a worker knows of its partitions, and when it takes itself for stuck."""

from datetime import UTC, datetime
from uuid import uuid4

from pipeline.batches import RawMessage
from pipeline.progress import DRAINED_AFTER, ProgressTracker
from storage.progress import Progress

A, B = ("news", 0), ("news", 1)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def message(partition: tuple[str, int], offset: int) -> RawMessage:
    return RawMessage(*partition, offset, None, b"")


def tracker(*partitions: tuple[str, int]) -> ProgressTracker:
    """Partitions that are read from offset 0 on."""
    made = ProgressTracker()
    made.assign(partitions)
    made.start(dict.fromkeys(partitions, 0), {})
    return made


def test_progress_covers_the_last_message_of_each_partition() -> None:
    known = tracker(A, B)
    known.observe({A: 10, B: 5}, {A: 0, B: 0}, set(), 0)
    assert known.after([message(A, 3), message(B, 4), message(A, 2)], {A: NOON}) == [
        Progress("news", 0, 4, 10, NOON),
        Progress("news", 1, 5, 5, None),
    ]


def test_a_partition_taken_away_is_left_to_its_new_reader() -> None:
    known = tracker(A)
    assert known.after([message(B, 4)], {}) == []


def test_what_is_stored_counts_not_what_is_read() -> None:
    known = tracker(A)
    known.observe({A: 10}, {A: 0}, set(), 0)
    known.stored([Progress("news", 0, 4, 10)])
    assert known.observe({A: 12}, {A: 12}, set(), 1) == [Progress("news", 0, 4, 12)]


def test_markers_at_the_end_of_a_partition_are_no_backlog_once_all_is_quiet() -> None:
    known = tracker(A)
    known.stored([Progress("news", 0, 9, 10)])
    assert known.observe({A: 10}, {A: 10}, {A}, 0) == [Progress("news", 0, 9, 10)]
    assert known.observe({A: 10}, {A: 10}, {A}, DRAINED_AFTER - 1) == [Progress("news", 0, 9, 10)]
    assert known.observe({A: 10}, {A: 10}, {A}, DRAINED_AFTER) == [Progress("news", 0, 10, 10)]


def test_messages_on_their_way_are_a_backlog_however_quiet_it_is() -> None:
    known = tracker(A)
    known.stored([Progress("news", 0, 5, 10)])
    known.observe({A: 10}, {A: 10}, set(), 0)
    assert known.observe({A: 10}, {A: 10}, set(), 60) == [Progress("news", 0, 5, 10)]
    known.observe({A: 10}, {A: 10}, {A}, 61)
    assert known.observe({A: 10}, {A: 10}, set(), 67) == [Progress("news", 0, 5, 10)]
    assert known.observe({A: 10}, {A: 10}, {A}, 68) == [Progress("news", 0, 5, 10)]


def test_a_backlog_that_stands_still_is_told_and_one_that_moves_is_not() -> None:
    known = tracker(A, B)
    known.observe({A: 10, B: 10}, {A: 0, B: 0}, set(), 0)
    assert [known.standing_still(now=second, bound=60) for second in range(31)] == [[]] * 31
    known.stored([Progress("news", 1, 5, 10)])
    told = [known.standing_still(now=second, bound=60) for second in range(31, 62)]
    assert told == [[]] * 30 + [[A]]
    known.stored([Progress("news", 0, 10, 10), Progress("news", 1, 10, 10)])
    assert [known.standing_still(now=second, bound=60) for second in range(62, 500)] == [[]] * 438


def test_a_backlog_that_stands_still_is_told_however_seldom_somebody_looks() -> None:
    known = tracker(A)
    known.observe({A: 10}, {A: 0}, set(), 0)
    assert [known.standing_still(now=11 * look, bound=60) for look in range(7)] == [[]] * 6 + [[A]]


def test_progress_names_the_topic_that_its_offsets_count_in() -> None:
    known = tracker(A)
    topic_id = uuid4()
    known.start({A: 5, B: 7}, {"news": topic_id})
    assert known.stored_offsets == {A: 5}
    assert known.observe({A: 9}, {A: 9}, set(), 0) == [Progress("news", 0, 5, 9, None, topic_id)]
    assert known.after([message(A, 5)], {}) == [Progress("news", 0, 6, 9, None, topic_id)]


def test_a_partition_says_nothing_before_it_is_known_where_it_starts() -> None:
    """Else its old position would be written beside the id of a topic that was made anew, and taken for stored."""
    known = tracker(A)
    known.start({A: 7}, {"news": uuid4()})
    known.assign([A, B])
    assert known.observe({A: 9, B: 9}, {A: 5, B: 5}, set(), 0) == []
    known.reported()
    assert not known.is_ready
    known.start({A: 1, B: 2}, {})
    assert known.observe({A: 9, B: 9}, {A: 5, B: 5}, set(), 0) == [
        Progress("news", 0, 1, 9),
        Progress("news", 1, 2, 9),
    ]
    known.reported()
    assert known.is_ready


def test_what_the_database_must_still_know_is_what_it_has_said_or_committed_in_this_deal() -> None:
    def since() -> list[int | None]:
        return [entry.since for entry in known.observe({A: 20}, {A: 5}, set(), 0)]

    known = tracker(A)
    assert since() == [None]
    known.durable([Progress("news", 0, 3, 9)])
    assert since() == [3]
    known.stored([Progress("news", 0, 5, 9)])
    known.durable([Progress("news", 0, 4, 9)])
    assert since() == [5]
    known.assign([A])
    known.start({A: 5}, {}, {A: 4})
    assert since() == [4]


def test_after_a_log_lost_its_tail_the_table_is_to_follow() -> None:
    known = tracker(A)
    known.stored([Progress("news", 0, 8, 9)])
    assert [entry.since for entry in known.after([message(A, 8)], {})] == [8]
    assert [(entry.next_offset, entry.since) for entry in known.after([message(A, 1)], {})] == [(2, None)]
