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
_CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


def ends(**changes: Any) -> dict[str, str]:
    found = postable(message(**changes), NOW, timedelta(hours=2))
    return {alert["labels"]["severity"]: alert["endsAt"] for alert in found}


def test_an_alert_holds_until_it_is_over_and_at_one_severity() -> None:
    now, later = NOW.isoformat(), (NOW + timedelta(hours=2)).isoformat()
    assert ends() == {"warning": later, "critical": now}
    assert ends(kind="worsened", severity="critical") == {"warning": now, "critical": later}
    assert ends(kind="resolved", severity="critical") == {"warning": now, "critical": now}


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
