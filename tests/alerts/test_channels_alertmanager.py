"""Debian's `prometheus-alertmanager`: what it shows while an episode lasts, and after."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from alerts.channels.alertmanager import Alertmanager, postable
from alerts.settings import AlertsSettings
from tests.alerts.receivers import free_port, message

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOLD = timedelta(hours=2)
_CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


def ends(**changes: Any) -> dict[str, str]:
    found = postable(message(**changes), NOW, HOLD)
    return {alert["labels"]["severity"]: alert["endsAt"] for alert in found}


def test_an_alert_holds_until_it_is_over_and_at_one_severity() -> None:
    now, later = NOW.isoformat(), (NOW + HOLD).isoformat()
    assert ends() == {"warning": later, "critical": now}
    assert ends(kind="worsened", severity="critical") == {"warning": now, "critical": later}
    assert ends(kind="resolved", severity="critical") == {"warning": now, "critical": now}


def test_what_was_told_of_all_topics_ends_when_one_takes_the_lead() -> None:
    everything = {"topic": "*", "stream": "*"}
    found = postable(message(kind="joined", topic="financials", stream="news", opening=everything), NOW, HOLD)
    holding = [alert["labels"] for alert in found if alert["endsAt"] > NOW.isoformat()]
    assert [(labels["topic"], labels["stream"], labels["severity"]) for labels in holding] == [
        ("financials", "news", "warning")
    ]
    over = {(alert["labels"]["topic"], alert["labels"]["severity"]) for alert in found} - {("financials", "warning")}
    assert over == {("financials", "critical"), ("*", "warning"), ("*", "critical")}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = shutil.which("prometheus-alertmanager")
    if binary is None:
        pytest.skip("no prometheus-alertmanager here: apt-get install prometheus-alertmanager")
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    (folder / "config.yml").write_text(_CONFIG)
    port = free_port()
    options = [f"--config.file={folder}/config.yml", f"--storage.path={folder}/state", "--cluster.listen-address="]
    options.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([binary, *options], stdout=log, stderr=log)
    try:
        yield _ready(f"http://127.0.0.1:{port}", process)
    finally:
        process.kill()
        process.wait()


def _ready(url: str, process: "subprocess.Popen[bytes]") -> str:
    for _ in range(200):
        assert process.poll() is None, "alertmanager ended"
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return url
    raise AssertionError("alertmanager is not ready after ten seconds")


def active(url: str) -> list[tuple[str, str]]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
        return [(alert["labels"]["severity"], alert["annotations"]["summary"]) for alert in json.load(answer)]


def test_the_real_alertmanager_follows_an_episode(alertmanager: str) -> None:
    channel = Alertmanager(SecretStr(alertmanager), AlertsSettings())
    steps = [("fired", "warning"), ("fired", "warning"), ("worsened", "critical"), ("repeated", "critical")]
    for kind, severity in steps:
        channel.send(message(kind=kind, severity=severity))
        assert active(alertmanager) == [(severity, "Newsquake: spike")]
    channel.send(message(kind="resolved", severity="critical"))
    assert active(alertmanager) == []
    everything = {"topic": "*", "stream": "*"}
    channel.send(message(kind="fired", alert_id=8, **everything, opening=everything))
    channel.send(message(kind="joined", alert_id=8, opening=everything))
    assert len(active(alertmanager)) == 1
    channel.send(message(kind="resolved", alert_id=8, opening=everything))
    assert active(alertmanager) == []
