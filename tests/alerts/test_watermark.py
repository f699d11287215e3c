"""When a minute is settled."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.watermark import Progress, settled_until

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVENT = NOW - timedelta(minutes=10, seconds=30)  # within the last hour: live traffic
OLD = datetime(2018, 2, 5, 9, 30, 30, tzinfo=UTC)  # history
LATENESS = timedelta(seconds=120)


def row(
    event: datetime | None, *, behind: int = 0, partition: int = 0, silent: float = 0, read_for: float = 0
) -> Progress:
    """A partition that is `behind` messages, last reported `silent` seconds ago, and has had no news for `read_for`."""
    updated = NOW - timedelta(seconds=silent)
    seen = updated - timedelta(seconds=read_for)
    return Progress("news", partition, 10, 10 + behind, event, seen, updated)


def settle(*rows: Progress, replay: bool = False) -> datetime | None:
    return settled_until(rows, NOW, max_lateness=LATENESS, max_age=timedelta(hours=1), replay=replay)


def test_nothing_is_settled_before_anything_is_read() -> None:
    assert settle() is None
    assert settle(row(None)) is None


def test_a_busy_partition_holds_the_watermark_at_its_newest_message() -> None:
    assert settle(row(EVENT, behind=5), row(NOW, partition=1)) == datetime(2026, 3, 2, 11, 47, tzinfo=UTC)


def test_a_busy_partition_without_a_message_yet_holds_everything() -> None:
    assert settle(row(None, behind=5), row(EVENT, behind=1, partition=1)) is None
    assert settle(row(None, behind=5), row(OLD, partition=1, read_for=60)) is None


def test_a_partition_without_backlog_holds_nothing_back() -> None:
    quiet = row(EVENT - timedelta(days=2))
    assert settle(quiet, row(EVENT, partition=1)) == datetime(2026, 3, 2, 11, 47, tzinfo=UTC)
    assert settle(row(None), row(EVENT, partition=1)) == datetime(2026, 3, 2, 11, 47, tzinfo=UTC)


def test_event_time_runs_on_with_the_reports_while_nothing_is_waiting() -> None:
    assert settle(row(EVENT, read_for=300)) == datetime(2026, 3, 2, 11, 52, tzinfo=UTC)


def test_a_backlog_is_waited_for_however_long_its_worker_is_gone() -> None:
    gone = row(NOW - timedelta(hours=5), behind=5, silent=5 * 3600)
    assert settle(gone, row(EVENT, partition=1)) == datetime(2026, 3, 2, 6, 58, tzinfo=UTC)


def test_event_time_stands_still_when_no_worker_reports() -> None:
    assert settle(row(EVENT, silent=500, read_for=60)) == settle(row(EVENT, silent=5, read_for=60))


def test_history_on_its_way_is_held_by_the_slowest_partition_read_to_its_end_or_not() -> None:
    later = row(OLD + timedelta(days=1), partition=1)
    assert settle(row(OLD), later) == datetime(2018, 2, 5, 7, 30, tzinfo=UTC)
    assert settle(row(OLD, behind=3), later) == datetime(2018, 2, 5, 7, 30, tzinfo=UTC)


def test_history_is_settled_whole_once_all_is_quiet() -> None:
    later = row(OLD + timedelta(days=1), partition=1, read_for=6)
    assert settle(row(OLD, read_for=60), later) == datetime(2018, 2, 6, 9, 31, tzinfo=UTC)
    assert settle(row(OLD, read_for=60, behind=1), later) == datetime(2018, 2, 5, 7, 30, tzinfo=UTC)


def test_a_live_stream_that_falls_quiet_runs_on_long_enough_to_end_what_was_high() -> None:
    assert settle(row(NOW - timedelta(minutes=59), read_for=58 * 60)) == datetime(2026, 3, 2, 11, 57, tzinfo=UTC)
    assert settle(row(NOW - timedelta(minutes=90), read_for=85 * 60)) == datetime(2026, 3, 2, 11, 53, tzinfo=UTC)
    assert settle(row(NOW - timedelta(hours=10), read_for=36_000 - 60)) == datetime(2026, 3, 2, 4, 58, tzinfo=UTC)
    assert settle(row(OLD, read_for=36_000)) == datetime(2018, 2, 5, 9, 31, tzinfo=UTC), "history ends where it ends"


def test_a_replay_is_history_whatever_its_age() -> None:
    assert settle(row(EVENT), replay=True) == datetime(2026, 3, 2, 9, 49, tzinfo=UTC)
    assert settle(row(EVENT, read_for=6), replay=True) == datetime(2026, 3, 2, 11, 50, tzinfo=UTC)


@given(
    st.lists(st.tuples(st.integers(-10_000, 10**7), st.integers(0, 3), st.integers(0, 9000)), max_size=5), st.booleans()
)
def test_the_watermark_is_never_ahead_of_now(parts: list[tuple[int, int, int]], replay: bool) -> None:
    rows = [row(NOW - timedelta(seconds=age), behind=behind, read_for=read) for age, behind, read in parts]
    settled = settle(*rows, replay=replay)
    assert settled is None or settled <= NOW + timedelta(minutes=1)
