"""When a worker stops dead-lettering: a run or a share that is too large, and what does not count."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import RawMessage
from pipeline.dead_letter_limit import DeadLetterLimit
from pipeline.dead_letters import DeadLetter
from pipeline.errors import DeadLetterLimitReached
from pipeline.reasons import Reason

GOOD, BAD = True, False


def message(offset: int, partition: int = 0, replay_of: str | None = None) -> RawMessage:
    return RawMessage("news", partition, offset, None, b"{", replay_of)


def observe(
    limit: DeadLetterLimit,
    valid: Sequence[bool],
    *,
    start: int = 0,
    partition: int = 0,
    reason: Reason = Reason.NOT_JSON,
    replay_of: str | None = None,
) -> None:
    """One micro-batch: messages of a partition from `start` on."""
    messages = [message(start + place, partition, replay_of) for place in range(len(valid))]
    dead = [one.dead(reason, "…") for one, good in zip(messages, valid, strict=True) if not good]
    limit.observe(messages, dead)


def letters(*offsets: int, partition: int = 0, replay_of: str | None = None) -> list[DeadLetter]:
    return [message(offset, partition, replay_of).dead(Reason.NOT_JSON, "…") for offset in offsets]


def reached(limit: DeadLetterLimit, valid: Sequence[bool], size: int) -> int | None:
    """The micro-batch in which the limit is reached, when they are `size` large."""
    for start in range(0, len(valid), size):
        try:
            observe(limit, valid[start : start + size], start=start)
        except DeadLetterLimitReached:
            return start // size
    return None


def longest_run(valid: Sequence[bool]) -> int:
    runs = "".join("v" if good else "x" for good in valid).split("v")
    return max(map(len, runs), default=0)


@given(st.lists(st.booleans(), max_size=120), st.integers(1, 20), st.integers(1, 30))
def test_the_run_stops_exactly_where_more_than_so_many_in_a_row_are_invalid(
    valid: list[bool], most: int, size: int
) -> None:
    where = reached(DeadLetterLimit(None, most), valid, size)
    over = [end for end in range(len(valid)) if end >= most and not any(valid[end - most : end + 1])]
    assert where == (over[0] // size if over else None)
    assert (where is None) == (longest_run(valid) <= most)


@given(
    st.lists(st.booleans(), max_size=150),
    st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    st.integers(1, 60),
    st.integers(1, 30),
)
def test_the_ratio_is_that_of_the_last_window_and_judged_from_a_tenth_of_it_on(
    valid: list[bool], ratio: float, window: int, size: int
) -> None:
    where = reached(DeadLetterLimit(ratio, None, window), valid, size)
    over = None
    for end in range(1, len(valid) + 1):
        seen = valid[max(0, end - window) : end]
        if end >= max(1, window // 10) and not seen[-1] and seen.count(BAD) > ratio * len(seen):
            over = end - 1
            break
    assert where == (None if over is None else over // size)


@given(st.lists(st.booleans(), max_size=200))
def test_without_limits_nothing_stops(valid: list[bool]) -> None:
    observe(DeadLetterLimit(None, None), valid)


def test_a_few_bad_messages_at_the_start_stop_nobody() -> None:
    observe(DeadLetterLimit(0.5, 100, 1_000), [BAD] * 3 + [GOOD])


def test_a_long_healthy_past_does_not_hide_a_broken_present() -> None:
    limit = DeadLetterLimit(0.5, None, 100)
    observe(limit, [GOOD] * 100_000)
    with pytest.raises(DeadLetterLimitReached, match="51 of the last 100 messages"):
        observe(limit, [BAD] * 51, start=100_000)


def test_partitions_are_counted_each_on_its_own_though_they_share_micro_batches() -> None:
    limit = DeadLetterLimit(None, 4)
    for start in range(0, 400, 2):
        both = [message(start), message(start, 1), message(start + 1), message(start + 1, 1)]
        limit.observe(both, letters(start, start + 1, partition=1) if start < 4 else [])
    with pytest.raises(DeadLetterLimitReached, match="news/1: 5 messages in a row"):
        observe(limit, [BAD] * 5, start=400, partition=1)


def test_the_sentence_says_what_where_why_and_what_to_do() -> None:
    limit = DeadLetterLimit(0.5, 3)
    observe(limit, [GOOD, BAD], reason=Reason.TOMBSTONE)
    with pytest.raises(DeadLetterLimitReached) as caught:
        observe(limit, [BAD, BAD, BAD], start=2, reason=Reason.BAD_TIME)
    assert str(caught.value) == (
        "news/0: 4 messages in a row are invalid (at most 3 may be), from offset 1 on, most often 'bad-time' "
        "(3 times: The time of publication is out of bounds). The messages are still in Kafka: nothing of this "
        "micro-batch was acknowledged or dead-lettered. Mend the producer or this release, or raise "
        "NEWSQUAKE_PIPELINE_DEAD_LETTER_RUN to dead-letter them all."
    )


def test_the_sentence_of_the_ratio_names_the_first_invalid_message_of_the_window() -> None:
    limit = DeadLetterLimit(0.5, None, 10)
    says = r"2 of the last 3 messages .* \(67%, at most 50% may be\), from offset 1 on.*_RATIO"
    with pytest.raises(DeadLetterLimitReached, match=says):
        observe(limit, [GOOD, BAD, BAD])


def test_messages_that_come_again_are_not_counted_again() -> None:
    limit = DeadLetterLimit(None, 3)
    for _ in range(10):
        observe(limit, [BAD, BAD])


def test_replays_count_neither_way() -> None:
    limit = DeadLetterLimit(None, 3)
    observe(limit, [BAD] * 3)
    observe(limit, [BAD] * 1_000, start=3, replay_of="0@17")
    observe(limit, [GOOD] * 10, start=1_003, replay_of="0@17")
    with pytest.raises(DeadLetterLimitReached, match="4 messages in a row"):
        observe(limit, [BAD], start=1_013)


def test_a_worker_that_is_started_again_stops_again_at_the_same_run() -> None:
    sent = letters(*range(100, 103))
    again = DeadLetterLimit(None, 3)
    again.assign([], sent)  # before any partition is assigned
    again.assign([("news", 0)])
    with pytest.raises(DeadLetterLimitReached, match=r"4 messages in a row .* from offset 100 on"):
        observe(again, [BAD], start=103)
    fixed = DeadLetterLimit(None, 3)
    fixed.assign([("news", 0)], sent)
    observe(fixed, [GOOD, BAD, BAD, BAD], start=103)


@pytest.mark.parametrize(
    ("before", "partition", "replay_of"),
    [((99, 100, 101), 0, None), ((), 0, None), ((100, 101, 102), 1, None), ((100, 101, 102), 0, "0@1")],
)
def test_letters_that_are_not_right_before_the_first_message_count_for_no_run(
    before: tuple[int, ...], partition: int, replay_of: str | None
) -> None:
    limit = DeadLetterLimit(None, 3)
    limit.assign([("news", 0)], letters(*before, partition=partition, replay_of=replay_of))
    observe(limit, [BAD] * 3, start=103)


def test_a_partition_that_went_to_another_worker_begins_afresh_and_one_that_stays_goes_on() -> None:
    limit = DeadLetterLimit(None, 3)
    for partition in (0, 1):
        observe(limit, [BAD] * 3, partition=partition)
    limit.assign([("news", 1)])
    limit.assign([("news", 0), ("news", 1)])
    observe(limit, [BAD] * 3, start=50, partition=0)
    with pytest.raises(DeadLetterLimitReached):
        observe(limit, [BAD], start=3, partition=1)
