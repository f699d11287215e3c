"""The commands around alerts as people and scripts meet them."""

import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from alerts.evaluate import tick
from alerts.queries import list_alerts
from alerts.settings import AlertsSettings
from storage.settings import StorageSettings
from tests.alerts.test_tick import RUN, bank_run
from tests.alerts.traffic import read_to_the_end
from tests.newsquake.test_cli import newsquake

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "deploy" / "rules.example.toml"
Run = Callable[..., Any]


@pytest.fixture
def run(storage_settings: StorageSettings) -> Run:
    """Runs a command; its JSON, or its one line of error where another exit code is expected."""

    def run(*arguments: str, code: int = 0, **env: str) -> Any:
        asked = arguments if code else (*arguments, "--json")
        done = newsquake("alerts", *asked, NEWSQUAKE_STORAGE_URL=storage_settings.url.get_secret_value(), **env)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
        return done.stderr if code else json.loads(done.stdout)

    return run


def fire(database: Engine) -> None:
    """One alert that fires, number 1."""
    bank_run(database)
    settled = RUN + timedelta(hours=1)
    read_to_the_end(database, settled + timedelta(minutes=2), settled + timedelta(minutes=3))
    tick(database, AlertsSettings(), settled + timedelta(minutes=3))


def test_an_alert_is_taken_on_once_and_ended_by_hand(database: Engine, run: Run) -> None:
    fire(database)
    first = run("ack", "1", "--by", "ana", "--note", "calling them")
    assert (first["changed"], first["alert"]["state"], first["alert"]["acknowledged_by"]) == (
        True,
        "acknowledged",
        "ana",
    )
    assert run("ack", "1", "--by", "bo")["changed"] is False
    (alert,) = run("list", "--state", "acknowledged")["alerts"]
    assert [(e["actor"], e["note"]) for e in alert["events"] if e["kind"] == "acknowledged"] == [
        ("ana", "calling them")
    ]
    assert run("resolve", "1", "--by", "ana")["alert"]["state"] == "resolved"
    assert run("resolve", "1")["changed"] is False
    assert "alert 1 is resolved already, since 2026-03-03 11:00 UTC" in run("ack", "1", code=1)
    assert "there is no alert 7: `newsquake alerts list`" in run("ack", "7", code=1)


def test_more_events_than_a_statement_takes_parameters_are_listed(database: Engine) -> None:
    fire(database)
    (before,) = list_alerts(database)
    insert = """INSERT INTO alert_events (alert_id, at, kind)
        SELECT alert_id, opened_at, 'repeated' FROM alerts CROSS JOIN generate_series(1, 70000)"""
    with database.begin() as connection:
        connection.execute(text(insert))
    (found,) = list_alerts(database)
    assert before["events"][0]["notifications"] and found["events"][: len(before["events"])] == before["events"]
    assert len(found["events"]) == len(before["events"]) + 70_000


def test_the_commands_of_a_message_do_what_they_say(database: Engine, run: Run) -> None:
    fire(database)
    (alert,) = run("list")["alerts"]
    lines = alert["events"][0]["notifications"][0]["body"].splitlines()
    acknowledge, silence = (shlex.split(line) for line in lines if line.startswith("  newsquake "))
    assert acknowledge[:2] == silence[:2] == ["newsquake", "alerts"]
    assert run(*acknowledge[2:])["alert"]["state"] == "acknowledged"
    made = run(*silence[2:])["silence"]
    assert (made["topic"], made["stream"], made["entity"]) == ("financials", None, None)


def test_a_silence_is_made_listed_and_lifted(run: Run) -> None:
    scope = ("--topic", "debt", "--stream", "news", "--for", "2h")
    made = run("silence", *scope, "--by", "ana", "--comment", "[red]auction")["silence"]
    (listed,) = run("silences")["silences"]
    assert listed == made and (made["topic"], made["stream"], made["author"]) == ("debt", "news", "ana")
    ends = datetime.fromisoformat(made["ends_at"])
    assert timedelta(hours=1.9) < ends - datetime.now(UTC) <= timedelta(hours=2)
    assert run("unsilence", str(made["silence_id"]), "--by", "bo")["changed"] is True
    assert run("unsilence", str(made["silence_id"]))["changed"] is False
    assert run("silences") == {"silences": []}
    assert len(run("silences", "--ended")["silences"]) == 1
    assert "there is no silence 7" in run("unsilence", "7", code=1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("silence", "--for", "2h"), "say which alerts"),
        (("silence", "--for", "2h", "--all", "--topic", "debt"), "say which alerts"),
        (("silence", "--for", "2 hours", "--all"), "is not a span such as 30m"),
        (("silence", "--for", "900w", "--all"), "up to a year"),
        (("silence", "--topic", "debt"), "--for"),
        (("silence", "--for", "2h", "--topic", " "), "the topic is empty"),
        (("ack", "one"), "ID"),
        (("ack", "1", "--by", " "), "--by"),
        (("test", "nobody"), "there is no rule 'nobody'; there are default"),
        (("rules", "check", "/nowhere.toml"), "cannot be read: No such file"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_why(run: Run, arguments: tuple[str, ...], says: str) -> None:
    assert says in " ".join(run(*arguments, code=2).replace("│", " ").split())


def test_a_rules_file_is_checked_without_a_database(tmp_path: Path) -> None:
    done = newsquake("alerts", "rules", "check", str(EXAMPLE))
    assert (done.returncode, done.stdout) == (0, "5 rules, all well: banks, opinion, names, chinese-debt, rest\n")
    wrong = tmp_path / "rules.toml"
    wrong.write_text("[[rule]]\nname = 'banks'\nmin_sources = 0\n", "utf-8")
    done = newsquake("alerts", "rules", "check", str(wrong))
    assert (done.returncode, done.stderr) == (
        2, f"newsquake: {wrong}, rule 'banks': min_sources: expected int >= 1\n",
    )  # fmt: skip
    wrong.write_text("[[rule]]\nname = 'banks'\n[rule.scope]\ntopics = ['banking']\n", "utf-8")
    done = newsquake("alerts", "rules", "check", str(wrong))
    assert done.returncode == 0 and "no topic banking" in done.stderr and "no rule watches all topics" in done.stderr


def test_the_scheduler_does_not_start_with_rules_that_cannot_work(tmp_path: Path) -> None:
    wrong = tmp_path / "rules.toml"
    wrong.write_text("[[rule]]\nname = 'banks'\nchannels = ['pager']\n", "utf-8")
    done = newsquake("scheduler", NEWSQUAKE_ALERTS_RULES=str(wrong), NEWSQUAKE_STORAGE_URL="postgresql://127.0.0.1:9/x")
    assert done.returncode == 2
    assert done.stderr == f"newsquake: {wrong}, rule 'banks': channels: no channel 'pager'; set up: console\n"


def test_rules_are_kept_in_the_database_after_those_of_the_file(database: Engine, run: Run, tmp_path: Path) -> None:
    assert [(rule["name"], rule["from"]) for rule in run("rules", "list")["rules"]] == [("default", "built in")]
    added = {"written": ["banks", "opinion", "names", "chinese-debt", "rest"]}
    assert run("rules", "add", str(EXAMPLE), "--by", "ana") == added
    for name in ("opinion", "chinese-debt", "names"):
        assert run("rules", "remove", name) == {"removed": name}
    assert "has no rule 'opinion'" in run("rules", "remove", "opinion", code=1)
    own = tmp_path / "rules.toml"
    own.write_text("[[rule]]\nname = 'rest'\nmin_sources = 5\nscope = {entities = ['Nobody']}\n", "utf-8")
    listed = run("rules", "list", NEWSQUAKE_ALERTS_RULES=str(own))
    assert [(rule["name"], rule["from"]) for rule in listed["rules"]] == [("rest", "file"), ("banks", "database")]
    assert "no message has named Nobody yet" in listed["hints"][-1]
    assert listed["left_out"] == ["table rules, rule 'rest': the rules file has one of that name, which holds"]


def test_a_rule_is_tried_on_what_is_stored(database: Engine, run: Run, tmp_path: Path) -> None:
    bank_run(database)
    rules = tmp_path / "rules.toml"
    rules.write_text(
        "[[rule]]\nname = 'night'\n[rule.quiet_hours]\nzone = 'UTC'\nfrom = '10:00'\nto = '10:30'\n"
        "[[rule]]\nname = 'metals'\n[rule.scope]\ntopics = ['metals']\n",
        "utf-8",
    )
    (alert,) = run("test", "night", "--file", str(rules))["alerts"]
    assert alert["topics"][0] == "financials" and alert["seen"] >= 8
    assert alert["told"] == "2026-03-03 10:30 UTC (quiet hours of rule night until 2026-03-03 10:30 UTC)"
    assert run("test", "metals", "--file", str(rules))["alerts"] == []
    assert run("list") == {"alerts": []}


def test_people_get_tables(database: Engine, storage_settings: StorageSettings, run: Run) -> None:
    fire(database)
    run("ack", "1", "--by", "[red]ana")
    run("silence", "--topic", "debt", "--for", "2h", "--by", "bo", "--comment", "[red]auction")
    url = storage_settings.url.get_secret_value()
    for command, shown in (
        (("list",), ("1 alerts", "acknowledged", "[red]ana")),
        (("silences",), ("1 silences", "topic debt", "holds", "[red]auction")),
        (("rules", "list"), ("1 rules", "default", "built in", "1.7")),
        (("test", "default", "--since", "2d"), ("rule default: 1 alerts from", "financials", "at once")),
        (("ack", "1"), ("alert 1 is already acknowledged by [red]ana",)),
        (("unsilence", "1"), ("silence 1 is lifted",)),
    ):
        done = newsquake("alerts", *command, NEWSQUAKE_STORAGE_URL=url)
        assert done.returncode == 0, done.stderr
        for part in shown:
            assert part in done.stdout, done.stdout
