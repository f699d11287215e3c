"""Who is told and when, whatever the state and the clock."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as varied

from alerts.lifecycle import Due, Standing, Telling, due, verdict
from alerts.rules import Escalation, QuietHours, Rule
from alerts.series import Series
from alerts.settings import AlertsSettings
from alerts.silences import Silence, Subject, covering
from tests.alerts.traffic import MONDAY

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
RUN = Subject((Series("financials", "comment"),), {}, {}, 12)
NIGHT = QuietHours(zone="UTC", start="22:00", end="06:00")
RULE = Rule(name="banks", repeat_hours=4, escalation=Escalation(after_minutes=30, channels=("pager",)))


def standing(**fields: object) -> Standing:
    at = MONDAY + 10 * HOUR
    known = {"state": "firing", "severity": "warning", "subject": RUN, "opened_at": at, "last_seen_at": at, **fields}
    return Standing(1, **known)  # type: ignore[arg-type]


def silence(start: datetime, end: datetime, topic: str | None = None, number: int = 1) -> Silence:
    return Silence(number, topic, None, None, None, start, end, "ana", "maintenance")


def telling(now: datetime, rule: Rule = RULE, *silences: Silence) -> Telling:
    return Telling(rule, silences, ("console",), AlertsSettings(), now)


def steps(found: list[Due]) -> list[str]:
    return [item.step for item in found]


minutes = st.integers(0, 3000).map(lambda number: MONDAY + number * MINUTE)
maybe = st.none() | minutes
rules = st.builds(
    Rule,
    name=st.just("banks"),
    pending_minutes=st.sampled_from([0, 10]),
    repeat_hours=st.sampled_from([0.0, 0.5, 4.0]),
    quiet_hours=st.sampled_from([None, NIGHT]),
    escalation=st.sampled_from([None, Escalation(after_minutes=30, channels=("pager",))]),
)
silences = st.lists(
    st.builds(
        lambda start, long, topic, number: silence(start, start + long * MINUTE, topic, number),
        minutes,
        st.integers(1, 600),
        st.sampled_from([None, "financials", "debt"]),
        st.integers(1, 9),
    ),
    max_size=3,
)
standings = st.builds(
    lambda state, severity, opened, lasted, told, again, owed, escalated, number: standing(
        state=state,
        severity=severity,
        opened_at=opened,
        last_seen_at=opened + lasted * MINUTE,
        told_at=told,
        last_told_at=None if told is None else told + again * MINUTE,
        owed_since=owed,
        escalated_at=None if told is None else escalated,
        silence_id=number,
    ),
    st.sampled_from(["firing", "acknowledged", "resolved"]),
    st.sampled_from(["warning", "critical"]),
    minutes,
    st.integers(0, 600),
    maybe,
    st.integers(0, 600),
    maybe,
    maybe,
    st.sampled_from([None, 1, 2]),
)


def after(state: Standing, found: list[Due], now: datetime) -> Standing:
    """What is stored once these steps have been taken."""
    for item in found:
        if item.tells:
            state = replace(state, told_at=state.told_at or now, last_told_at=now, owed_since=None)
        else:
            state = replace(state, silence_id=item.silence_id)
        if item.step == "escalated":
            state = replace(state, escalated_at=now)
    return state


@settings(deadline=None)
@given(standings, rules, silences, minutes)
def test_what_has_been_done_is_not_due_again(state: Standing, rule: Rule, quiet: list[Silence], now: datetime) -> None:
    by = telling(now, rule, *quiet)
    assert due(after(state, due(state, by), now), by) == []


@settings(deadline=None)
@given(standings, rules, silences, minutes)
def test_nobody_is_told_of_what_is_over_taken_on_or_silenced(
    state: Standing, rule: Rule, quiet: list[Silence], now: datetime
) -> None:
    hidden = covering(quiet, state.subject, now) is not None
    told = [item.step for item in due(state, telling(now, rule, *quiet)) if item.tells]
    if hidden or state.state == "resolved":
        assert not told
    if state.state == "acknowledged":  # what is owed came after somebody had taken it on
        assert told in ([], ["released"]) and (state.owed_since is not None or not told)


@settings(deadline=None)
@given(standings, minutes)
def test_no_warning_is_told_in_quiet_hours_and_what_is_critical_does_not_wait(state: Standing, now: datetime) -> None:
    calm, loud = varied(RULE, quiet_hours=NIGHT), RULE
    if NIGHT.until(now) is not None and state.severity == "warning":
        assert not [item for item in due(state, telling(now, calm)) if item.tells]
    else:
        assert due(state, telling(now, calm)) == due(state, telling(now, loud))


@settings(deadline=None, max_examples=50)
@given(minutes, st.integers(1, 600), st.integers(0, 600), st.sampled_from(["warning", "critical"]), rules)
def test_whatever_held_it_back_it_is_told_once_in_the_end(
    begins: datetime, long: int, muted: int, severity: str, rule: Rule
) -> None:
    """An episode that goes on: its first message is muted or sent, and then the clock runs for two days."""
    held = silence(begins, begins + long * MINUTE)
    now = MONDAY + muted * MINUTE
    state = standing(severity=severity, opened_at=now, last_seen_at=now)
    first = verdict("fired", now, state, telling(now, rule, held))
    state = replace(state, told_at=now, last_told_at=now) if first.told else replace(state, owed_since=now)
    told = int(first.told)
    for _ in range(2 * 24 * 2):
        now += HOUR / 2
        state = replace(state, last_seen_at=now)
        found = due(state, telling(now, rule, held))
        told += len([item for item in found if item.step == "released"])
        state = after(state, found, now)
    assert told >= 1 and state.owed_since is None
    assert told <= (1 if first.told else 2)
    assert rule.escalation is None or state.escalated_at is not None


def replay(rule: Rule, hours: int, state: Standing, step: timedelta) -> list[tuple[str, datetime]]:
    told, now = list[tuple[str, datetime]](), state.opened_at
    while now < state.opened_at + hours * HOUR:
        now += step
        state = replace(state, last_seen_at=now)
        found = due(state, telling(now, rule))
        told += [(item.step, now) for item in found]
        state = after(state, found, now)
    return told


def test_it_is_repeated_every_so_many_hours_and_escalated_once() -> None:
    at = MONDAY + 10 * HOUR
    fired = standing(told_at=at, last_told_at=at)
    found = replay(RULE, 13, fired, MINUTE)
    # Escalation is a message, too: the next repetition counts from it.
    assert found == [("escalated", at + HOUR / 2), *(("repeated", at + HOUR / 2 + n * 4 * HOUR) for n in (1, 2, 3))]
    assert replay(varied(RULE, repeat_hours=0, escalation=None), 13, fired, MINUTE) == []


def test_a_clock_that_jumped_repeats_once_and_not_for_every_interval_missed() -> None:
    at = MONDAY + 10 * HOUR
    state = standing(told_at=at, last_told_at=at, last_seen_at=at + 40 * HOUR, escalated_at=at)
    assert steps(due(state, telling(at + 40 * HOUR))) == ["repeated"]


def test_what_was_held_back_of_an_acknowledged_alert_is_told_once_nothing_holds_it() -> None:
    at = MONDAY + 10 * HOUR
    held = silence(at, at + HOUR)
    taken = standing(state="acknowledged", severity="critical", told_at=at, last_told_at=at, last_seen_at=at)
    assert verdict("worsened", at, taken, telling(at, RULE, held)).owed
    owed = replace(taken, owed_since=at, last_seen_at=at + 2 * HOUR)
    assert steps(due(owed, telling(at + 2 * HOUR, RULE, held))) == ["released"]
    assert due(replace(owed, owed_since=None), telling(at + 2 * HOUR, RULE, held)) == []


def test_what_nobody_was_told_of_is_neither_repeated_nor_escalated() -> None:
    at = MONDAY + 10 * HOUR
    assert due(standing(last_seen_at=at + 9 * HOUR), telling(at + 9 * HOUR)) == []


def test_old_news_is_owed_until_evaluation_has_caught_up() -> None:
    at = MONDAY + 10 * HOUR
    now = at + 5 * HOUR
    first = verdict("fired", at, standing(), telling(now))
    assert (first.told, first.owed) == (False, True) and "more than 60 min old" in str(first.reason)
    assert due(standing(owed_since=now), telling(now)) == []
    assert steps(due(standing(owed_since=now, last_seen_at=now - 3 * MINUTE), telling(now))) == ["released"]


def test_the_end_is_told_where_the_beginning_was_however_late() -> None:
    at = MONDAY + 10 * HOUR
    over = standing(state="resolved", told_at=at)
    assert verdict("resolved", at, over, telling(at + 9 * HOUR)).told
    untold = verdict("resolved", at, standing(state="resolved"), telling(at))
    assert (untold.told, untold.reason) == (False, "nobody had been told that it began")


def test_the_end_of_a_warning_waits_for_the_end_of_quiet_hours() -> None:
    at = MONDAY + 23 * HOUR
    decided = verdict(
        "resolved", at, standing(state="resolved", told_at=at), telling(at, varied(RULE, quiet_hours=NIGHT))
    )
    assert decided.told and decided.not_before == MONDAY + 30 * HOUR


@pytest.mark.parametrize(("lasted", "told"), [(9, False), (10, True)])
def test_pending_is_told_once_it_has_lasted(lasted: int, told: bool) -> None:
    rule = varied(RULE, pending_minutes=10)
    at = MONDAY + 10 * HOUR
    state = standing(last_seen_at=at + lasted * MINUTE)
    decided = verdict("fired", at, state, telling(at + lasted * MINUTE, rule))
    assert (decided.told, decided.owed) == (told, not told)


def test_after_escalation_the_second_route_hears_of_the_rest() -> None:
    at = MONDAY + 10 * HOUR
    assert telling(at).route(standing()) == ["console"]
    assert telling(at).route(standing(escalated_at=at)) == ["console", "pager"]
