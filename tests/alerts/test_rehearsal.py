"""When a backtest says that people would have been told: at once, late or never."""

from datetime import timedelta

import pytest
from msgspec.structs import replace as varied

from alerts.episodes import Change, Episode, Kind
from alerts.rehearsal import rehearse, tellings
from alerts.rules import QuietHours, Rule
from alerts.settings import AlertsSettings
from tests.alerts.traffic import MONDAY

MINUTE = timedelta(minutes=1)
AT = MONDAY + timedelta(hours=10)
RULE = Rule(name="desk")
QUIET = QuietHours(zone="UTC", start="09:00", end="11:00")
WINDOW = {"counted": 12, "expected": 1.5, "p_value": 1e-9}


def changes(lasts: int, *kinds: tuple[Kind, int, str]) -> list[Change]:
    """Of an episode that is high for so many minutes: kind, minute and severity of each."""
    end = AT + lasts * MINUTE
    episode = Episode(
        None, "debt", "news", "warning", "volume", 15, AT, end, end, 1.5, 12, 40, 1e-9, 4, 12, 12, [], {}, rule="desk"
    )
    return [
        Change(kind, AT + minute * MINUTE, episode, True, {"severity": severity, "window": WINDOW})
        for kind, minute, severity in kinds
    ]


def told(rule: Rule, found: list[Change]) -> list[int]:
    """Minutes after the beginning."""
    return [(one.at - AT) // MINUTE for one in tellings(found, rule, AlertsSettings()) if one.at is not None]


@pytest.mark.parametrize(
    ("rule", "lasts", "minutes"),
    [
        (RULE, 0, [0, 40]),
        (varied(RULE, pending_minutes=30), 50, [30, 40]),
        (varied(RULE, pending_minutes=45), 50, [45]),
        (varied(RULE, pending_minutes=60), 50, []),
        (varied(RULE, quiet_hours=QUIET), 90, [60]),
        (varied(RULE, quiet_hours=QUIET), 50, [60]),
        (varied(RULE, quiet_hours=QUIET), 40, []),
        (varied(RULE, quiet_hours=QUIET, pending_minutes=70), 90, [70]),
    ],
)
def test_what_is_held_back_is_told_once_when_nothing_holds_it_and_it_goes_on(
    rule: Rule, lasts: int, minutes: list[int]
) -> None:
    assert told(rule, changes(lasts, ("fired", 0, "warning"), ("joined", 40, "warning"))) == minutes


def test_what_becomes_critical_goes_through_the_quiet_and_tells_what_waited() -> None:
    rule = varied(RULE, quiet_hours=QUIET)
    assert told(rule, changes(90, ("fired", 0, "warning"), ("worsened", 20, "critical"))) == [20]


def test_it_is_said_when_and_why() -> None:
    def words(rule: Rule, lasts: int, *kinds: tuple[Kind, int, str]) -> str:
        (found,) = rehearse(changes(lasts, *kinds), rule, AlertsSettings())
        return found.told

    quiet = varied(RULE, quiet_hours=QUIET)
    fired: tuple[Kind, int, str] = ("fired", 0, "warning")
    assert words(RULE, 90, fired) == "at once"
    assert words(quiet, 90, fired).endswith("11:00 UTC)")
    assert words(quiet, 90, fired, ("worsened", 20, "critical")).endswith("10:20 UTC, when it became critical")
    assert words(varied(RULE, pending_minutes=30), 10, fired) == "never (pending: told once it has lasted 30 min)"
