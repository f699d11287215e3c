"""Rules as people write them: what is understood, what is refused and how it is said, and what a rule means."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from alerts.errors import InvalidRule
from alerts.rules import (
    DEFAULT,
    MINUTES_A_MONTH,
    QuietHours,
    Rule,
    Scope,
    check_channels,
    false_alerts_per_month,
    owner,
    parse,
    parse_file,
    watches_everything,
)
from alerts.series import Series
from alerts.settings import AlertsSettings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "rules.example.toml"
NIGHT = {"zone": "Asia/Shanghai", "from": "22:00", "to": "07:00"}


def written(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_example_is_valid_and_watches_everything() -> None:
    rules = parse_file(EXAMPLE)
    assert len(rules) >= 3 and watches_everything(rules)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"min_negative": 1}, "min_negative: expected int >= 2"),
        ({"min_negativ": 8}, "min_negativ: no such field; there are name, scope, windows, min_negative"),
        ({"scope": {"topic": ["debt"]}}, "scope.topic: no such field; there are topics, streams, entities"),
        ({"scope": {"streams": ["tweets"]}}, "scope.streams[0]: 'tweets' is none of news, comment"),
        ({"scope": {"entities": ["M"], "topics": ["debt"]}}, "scope.entities cannot be limited by topics: a name is"),
        ({"scope": {"entities": ["M"], "sources": ["rss:*"]}}, "scope.entities cannot be limited by sources"),
        ({"scope": {"sources": ["rss:*"], "topics": ["debt"]}}, "scope.sources cannot be limited by topics: counts by"),
        ({"scope": {"languages": ["zh-CN"]}}, "scope.languages[0]: expected a language such as en or zh"),
        ({"scope": {"entities": [""]}}, "scope.entities[0]: expected str of length >= 1"),
        ({"windows": [15, 600]}, "windows[1]: expected int <= 240"),
        ({"false_alerts_per_month": 0}, "false_alerts_per_month: expected float >= 0.001"),
        ({"language": "fr"}, "language: 'fr' is none of en, zh"),
        ({"quiet_hours": {**NIGHT, "zone": "Asia/Peking"}}, "'Asia/Peking' is no IANA time zone"),
        ({"quiet_hours": {**NIGHT, "zone": "../etc/passwd"}}, "is no IANA time zone"),
        ({"quiet_hours": {**NIGHT, "to": "7"}}, "quiet_hours.to: expected a time such as 22:30"),
        ({"quiet_hours": {**NIGHT, "to": "22:00"}}, "from and to are the same"),
        ({"quiet_hours": {**NIGHT, "days": ["friday"]}}, "'friday' is none of mon, tue"),
        ({"escalation": {"after_minutes": 30, "channels": []}}, "escalation.channels: expected array of length >= 1"),
        ({"name": "the banks"}, "name: expected letters, digits"),
    ],
)
def test_a_mistake_is_said_with_its_place(raw: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidRule) as caught:
        parse({"name": "banks", **raw}, "rules.toml, rule 'banks'")
    assert str(caught.value).startswith("rules.toml, rule 'banks': ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[rule]\n", "is not TOML"),
        ("", "there is no [[rule]] in it"),
        ("[rule]\nname = 'a'\n", "'rule' as a single table"),
        ("[[rules]]\nname = 'a'\n", "found 'rules'"),
        ("[[rule]]\nname = 'a'\n[[rule]]\nname = 'a'\n", "two rules are named 'a'"),
        ("[[rule]]\n", "rule number 1: object missing required field name"),
        ("[[rule]]\nname = 'a'\nwindows = 'x'\n", "rule 'a': windows: expected array"),
    ],
)
def test_a_file_that_is_no_rules_file_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InvalidRule, match=r"rules\.toml") as caught:
        parse_file(written(tmp_path, text))
    assert says in str(caught.value)


def test_a_route_to_a_channel_that_is_not_set_up_is_refused() -> None:
    rule = Rule(name="banks", channels=("console", "pager"))
    with pytest.raises(InvalidRule, match="rule 'banks': channels: no channel 'pager'; set up: console"):
        check_channels([rule], ["console"], "rules.toml")
    check_channels([rule], ["console", "pager"], "rules.toml")


def test_a_rule_survives_the_way_through_the_database() -> None:
    for rule in parse_file(EXAMPLE):
        assert parse(msgspec.json.decode(msgspec.json.encode(rule)), "row") == rule


def test_a_rule_overrides_only_what_it_says() -> None:
    settings = AlertsSettings(min_negative=20, windows=(5, 30))
    assert DEFAULT.apply(settings) == settings
    own = Rule(name="a", min_sources=7, windows=(60, 15), scope=Scope(topics=("debt",))).apply(settings)
    assert (own.min_negative, own.min_sources, own.windows, own.topics) == (20, 7, (15, 60), ("debt",))


def test_the_false_alerts_of_a_month_are_shared_by_the_tests_of_minutes_and_of_hours() -> None:
    settings = AlertsSettings()
    own = Rule(name="a", false_alerts_per_month=2.0).apply(settings)
    assert own.false_alarm_rate * MINUTES_A_MONTH + own.slow_alarms_per_month == pytest.approx(2.0)
    same = Rule(name="a", false_alerts_per_month=false_alerts_per_month(settings)).apply(settings)
    assert same.false_alarm_rate == pytest.approx(settings.false_alarm_rate)
    assert 43_000 < MINUTES_A_MONTH < 44_000


def test_the_first_rule_that_holds_a_series_owns_it() -> None:
    banks = Rule(name="banks", scope=Scope(topics=("financials", "debt"), streams=("news",)))
    rest = Rule(name="rest")
    assert owner([banks, rest], Series("debt", "news")) is banks
    assert owner([banks, rest], Series("debt", "*")) is rest
    assert owner([banks, rest], Series("*", "news")) is rest
    assert owner([banks], Series("*", "*")) is None and not watches_everything([banks])


def at(zone: str, *clock: int) -> datetime:
    return datetime(*clock, tzinfo=ZoneInfo(zone)).astimezone(UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("clock", "until"),
    [
        ((2026, 3, 6, 21, 59), None),
        ((2026, 3, 6, 22, 0), (2026, 3, 7, 7, 0)),
        ((2026, 3, 7, 3, 0), (2026, 3, 7, 7, 0)),
        ((2026, 3, 7, 7, 0), None),
    ],
)
def test_quiet_hours_go_over_midnight_in_their_own_zone(clock: tuple[int, ...], until: tuple[int, ...] | None) -> None:
    night = msgspec.convert(NIGHT, QuietHours)
    assert night.until(at("Asia/Shanghai", *clock)) == (until and at("Asia/Shanghai", *until))


def test_quiet_days_are_those_on_which_the_quiet_begins() -> None:
    friday = msgspec.convert({**NIGHT, "days": ["fri"]}, QuietHours)
    assert friday.until(at("Asia/Shanghai", 2026, 3, 7, 3, 0)) is not None
    assert friday.until(at("Asia/Shanghai", 2026, 3, 7, 23, 0)) is None


def test_quiet_hours_follow_the_clock_when_it_is_put_back() -> None:
    night = QuietHours(zone="Europe/Berlin", start="22:00", end="07:00")
    end = night.until(datetime(2026, 10, 24, 20, 30, tzinfo=UTC))
    assert end is not None and end.astimezone(UTC) == datetime(2026, 10, 25, 6, 0, tzinfo=UTC)
