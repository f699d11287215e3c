"""What programs are told: an episode from evaluation through the outbox to every receiver, each message once."""

import json
from collections import Counter

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from alerts.channels import channel_labels, open_channels
from alerts.outbox import deliver
from alerts.rules import Rule
from alerts.series import MINUTE
from alerts.settings import AlertsSettings
from tests.alerts.receivers import receiving
from tests.alerts.rounds import go, told
from tests.alerts.test_tick import END, RUN, bank_run


@pytest.mark.integration
def test_each_change_reaches_each_receiver_once(database: Engine) -> None:
    bank_run(database)
    with receiving((503, {}), (200, {})) as hook, receiving() as manager:
        settings = AlertsSettings(
            critical_negative=1000,
            max_age_minutes=600,
            webhook_urls=[SecretStr(hook.url)],
            webhook_secret=SecretStr("s"),
            alertmanager_url=SecretStr(manager.url),
        )
        channels, now = open_channels(settings), END + 3 * MINUTE
        go(database, END, Rule(name="banks", repeat_hours=0), settings=settings)
        for later in range(6):
            deliver(database, channels, settings, now + later * MINUTE)
    kinds = told(database, "webhook:1")
    assert kinds == ["fired", "resolved"]
    assert channel_labels(settings) == ["console", "webhook:1", "alertmanager"]
    first, *_ = documents = [json.loads(body) for _, _, body in hook.got]
    assert [document["kind"] for document in documents] == ["fired", "fired", "resolved"]  # the first was answered 503
    assert sorted(Counter(document["key"] for document in documents).values()) == [1, 2]
    assert (first["schema_version"], first["rule"], first["topic"]) == (1, "banks", "financials")
    assert first["observed"] == first["reasons"]["negatives"] > first["expected"]
    assert RUN.isoformat() <= first["opened_at"] <= first["at"]
    assert [path for path, _, _ in manager.got] == ["/api/v2/alerts"] * len(kinds)
