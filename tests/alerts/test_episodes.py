"""The life of an episode, decision by decision."""

from dataclasses import replace
from datetime import datetime, timedelta

from alerts.assess import Spike
from alerts.episodes import Book, Change, step
from alerts.evidence import Confirmed, Evidence, confirm
from alerts.series import Series
from tests.alerts.traffic import MONDAY, SETTINGS, believe

RUN = Series("financials", "comment")
WHOLE = Series("*", "*")
NAME = Series("*", "comment", "Corvane Bank")


def spike(series: Series, minute: int, observed: int = 12, p_value: float = 1e-9) -> Spike:
    return Spike(
        series=series,
        minute=MONDAY + timedelta(minutes=minute),
        window=60,
        test="volume",
        observed=observed,
        messages=observed,
        expected=1.0,
        p_value=p_value,
        corrected=p_value * 4,
        limit=1e-3,
        mean=1.0,
        variance=1.5,
        share=0.2,
        concentration=30.0,
    )


def go(book: Book, minute: int, *fires: Spike, high: bool = False) -> list[Change]:
    at: datetime = MONDAY + timedelta(minutes=minute)
    still = {fire.series for fire in fires} | ({RUN} if high else set())
    peak = max((fire.observed for fire in fires), default=0)
    return step(book, at, fires, still, peak, believe, SETTINGS)


def kinds(changes: list[Change]) -> list[tuple[str, bool]]:
    return [(change.kind, change.notify) for change in changes]


def test_the_minutes_other_series_join_without_a_message() -> None:
    book = Book()
    assert kinds(go(book, 0, spike(RUN, 0), spike(WHOLE, 0))) == [("fired", True), ("joined", False)]
    assert book.current is not None and book.current.topic == "financials"


def test_the_same_topic_in_another_stream_joins_without_a_message() -> None:
    book = Book()
    go(book, 0, spike(RUN, 0))
    assert kinds(go(book, 1, spike(Series("financials", "news"), 1))) == [("joined", False)]
    assert kinds(go(book, 2, spike(Series("debt", "news"), 2))) == [("joined", True)]
    assert go(book, 3, spike(Series("debt", "news"), 3)) == []


def test_a_concrete_topic_takes_the_lead_of_all_topics() -> None:
    book = Book()
    go(book, 0, spike(WHOLE, 0))
    assert kinds(go(book, 5, spike(RUN, 5))) == [("joined", True)]
    assert book.current is not None and book.current.leading == RUN


def test_an_episode_ends_after_calm_minutes_only() -> None:
    book = Book()
    go(book, 0, spike(RUN, 0))
    calm = SETTINGS.resolve_after_minutes
    assert go(book, calm - 1) == []
    assert go(book, calm, high=True) == []
    assert go(book, 2 * calm - 1) == []
    assert kinds(go(book, 2 * calm)) == [("resolved", True)]
    assert book.current is None


def test_it_worsens_once() -> None:
    book = Book()
    go(book, 0, spike(RUN, 0))
    assert kinds(go(book, 1, spike(RUN, 1, observed=60, p_value=1e-30))) == [("worsened", True)]
    assert go(book, 2, spike(RUN, 2, observed=90, p_value=1e-40)) == []
    assert book.current is not None and book.current.severity == "critical"


def test_cool_down_holds_back_the_same_topic_unless_it_is_clearly_worse() -> None:
    book = Book()
    go(book, 0, spike(RUN, 0, observed=20))
    go(book, 45)
    assert book.current is None
    assert go(book, 100, spike(RUN, 100, observed=20)) == []
    assert go(book, 101, spike(WHOLE, 101, observed=20)) == []
    assert kinds(go(book, 102, spike(RUN, 102, observed=30))) == [("fired", True)]


def test_cool_down_does_not_hold_back_what_is_critical_after_a_warning() -> None:
    book = Book()
    go(book, 0, spike(RUN, 0, observed=28))
    go(book, 45)
    many = SETTINGS.critical_negative
    assert go(book, 100, spike(RUN, 100, observed=many - 1)) == []
    assert kinds(go(book, 101, spike(RUN, 101, observed=many))) == [("fired", True)]
    go(book, 145)
    assert go(book, 150, spike(RUN, 150, observed=many)) == [], "it was critical before"


def test_after_days_of_burning_a_run_of_minutes_is_held_to_its_own_time() -> None:
    book = Book()
    go(book, 0, replace(spike(RUN, 0, observed=200), window=72 * 60))
    go(book, 45)
    assert kinds(go(book, 60, spike(RUN, 60, observed=20))) == [("fired", True)]


def test_cool_down_leaves_other_topics_alone_and_ends() -> None:
    book = Book()
    go(book, 0, spike(RUN, 0))
    go(book, 45)
    assert kinds(go(book, 60, spike(Series("metals", "news"), 60))) == [("fired", True)]
    other = Book()
    go(other, 0, spike(RUN, 0))
    go(other, 45)
    assert go(other, 45 + SETTINGS.cooldown_minutes - 1, spike(RUN, 164)) == []
    assert kinds(go(other, 45 + SETTINGS.cooldown_minutes, spike(RUN, 165))) == [("fired", True)]


def of_topics(found: Spike, **topics: int) -> Confirmed | None:
    return confirm(found, Evidence(found.observed, 9, found.observed, topics=topics), SETTINGS)


def watch_names(book: Book, minute: int, fire: Spike, **topics: int) -> list[Change]:
    """A minute of a rule of names, whose negatives are of these topics."""
    at = MONDAY + timedelta(minutes=minute)
    return step(book, at, [fire], {fire.series}, fire.observed, lambda found: of_topics(found, **topics), SETTINGS)


def told_before() -> Book:
    """The book of a rule of names that comes after a rule whose alert about financials is open."""
    before = Book()
    go(before, 0, spike(RUN, 0))
    assert before.current is not None
    return Book(others=[before.current])


def test_a_name_is_not_told_where_half_of_what_is_said_of_it_is_told_of_a_topic() -> None:
    assert watch_names(told_before(), 1, spike(NAME, 1), financials=6, markets=6) == []
    assert kinds(watch_names(told_before(), 1, spike(NAME, 1), financials=5, markets=7)) == [("fired", True)]
    assert kinds(watch_names(Book(), 1, spike(NAME, 1), financials=12)) == [("fired", True)]


def test_a_graver_alert_about_the_name_is_told_all_the_same() -> None:
    grave = spike(NAME, 1, observed=60, p_value=1e-30)
    assert kinds(watch_names(told_before(), 1, grave, financials=60)) == [("fired", True)]
    book = told_before()
    book.others[0].severity = "critical"
    assert watch_names(book, 1, grave, financials=60) == []


def test_a_further_name_joins_with_a_message_unless_its_topic_is_told() -> None:
    book = told_before()
    watch_names(book, 1, spike(NAME, 1), markets=12)
    assert kinds(watch_names(book, 2, spike(NAME._replace(entity="Merrowdale"), 2), markets=12)) == [("joined", True)]
    assert kinds(watch_names(book, 3, spike(NAME._replace(entity="Oncet"), 3), financials=12)) == [("joined", False)]
