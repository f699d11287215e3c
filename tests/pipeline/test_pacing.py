"""Event time against the clock."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.pacing import Pace, rebase_shift

NOW = datetime(2026, 3, 10, tzinfo=UTC)
FIRST = datetime(2018, 2, 1, tzinfo=UTC)


def test_a_minute_of_event_time_takes_a_second_at_speed_60() -> None:
    pace = Pace(FIRST, NOW, 60)
    assert pace.due(FIRST + timedelta(minutes=5)) == NOW + timedelta(seconds=5)


def test_at_full_speed_everything_is_due_at_once() -> None:
    assert Pace(FIRST, NOW, None).due(FIRST + timedelta(days=9)) == NOW


@given(
    st.timedeltas(timedelta(0), timedelta(days=60)),
    st.floats(0, 1),
    st.one_of(st.none(), st.floats(1, 1e6)),
)
def test_rebased_messages_never_lie_ahead_of_the_clock_and_the_last_is_now(
    span: timedelta, share: float, speed: float | None
) -> None:
    shift = rebase_shift(FIRST, FIRST + span, now=NOW, speed=speed)
    pace = Pace(FIRST, NOW, speed)
    at = FIRST + span * share
    slack = timedelta(milliseconds=1)
    assert at + shift <= pace.due(at) + slack
    assert abs(FIRST + span + shift - pace.due(FIRST + span)) <= slack
