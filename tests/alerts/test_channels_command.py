"""`newsquake alerts channels`: labels, and a test message to each."""

import json

import pytest
from typer.testing import CliRunner

from newsquake.commands.alerts import app
from tests.alerts.receivers import receiving


def channels(monkeypatch: pytest.MonkeyPatch, urls: str, *options: str) -> tuple[int, dict[str, object]]:
    monkeypatch.setenv("NEWSQUAKE_ALERTS_WEBHOOK_URLS", urls)
    monkeypatch.setenv("NEWSQUAKE_ALERTS_WEBHOOK_SECRET", "s")
    ran = CliRunner().invoke(app, ["channels", "--json", *options])
    return ran.exit_code, json.loads(ran.stdout)


def test_channels_are_listed_without_their_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    code, found = channels(monkeypatch, "http://localhost:9/hidden")
    listed = [{"channel": label, "tested": False} for label in ("console", "webhook:1")]
    assert (code, found) == (0, {"channels": listed})


def test_each_channel_says_whether_it_took_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as well, receiving((500, {})) as ill:
        code, found = channels(monkeypatch, f"{well.url} {ill.url}", "--test")
    console = {"channel": "console", "tested": False}
    taken = {"channel": "webhook:1", "tested": True, "taken": True, "error": None}
    failed = {"channel": "webhook:2", "tested": True, "taken": False, "error": "the receiver answered 500"}
    assert (code, found) == (1, {"channels": [console, taken, failed]})
    assert json.loads(well.got[0][2])["kind"] == "test"
