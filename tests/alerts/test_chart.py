"""Charts: what they count, that they are pictures, and who gets them."""

import email
import io
import json
from dataclasses import dataclass
from datetime import datetime
from email.policy import default
from typing import Any

import pytest
from matplotlib import image as pictures
from pydantic import SecretStr
from sqlalchemy import Engine, select

import alerts.chart
from alerts.channels import open_channels
from alerts.chart import Bars, draw, picture, read_bars
from alerts.outbox import deliver
from alerts.rules import Rule, Scope
from alerts.series import HOUR, MINUTE
from alerts.settings import AlertsSettings
from storage.tables import notifications
from tests.alerts.receivers import receiving
from tests.alerts.rounds import go
from tests.alerts.test_channels_apprise import Mail, mail  # noqa: F401
from tests.alerts.test_tick import RUN, bank_run, ordinary
from tests.alerts.traffic import MONDAY, document, store

BARS = Bars(MONDAY, 5 * MINUTE, (4,) * 72, (1,) * 60 + (4,) * 12, 1.2, (MONDAY + 5 * HOUR, MONDAY + 6 * HOUR))


def shape(png: bytes) -> tuple[int, ...]:
    assert png.startswith(b"\x89PNG")
    return tuple(pictures.imread(io.BytesIO(png)).shape)


@pytest.mark.parametrize("fonts", [["DejaVu Sans"], None])
@pytest.mark.parametrize(
    "title", ["Spike in debt ($x$ _y^ {z})", "Newsquake：“东珀药业”负面情绪激增", "x" * 500, "\x1b\u202e"]
)
def test_any_title_makes_a_picture(monkeypatch: pytest.MonkeyPatch, title: str, fonts: list[str] | None) -> None:
    if fonts:
        monkeypatch.setattr(alerts.chart, "_fonts", lambda: fonts)
    assert shape(draw(BARS, title, "zh")) == (408, 1008, 4)


@pytest.mark.integration
@pytest.mark.parametrize(
    "scope", [Scope(topics=("financials",)), Scope(entities=("Corvane",)), Scope(sources=("so*",))]
)
def test_bars_hold_the_series_of_the_window_up_to_the_change(database: Engine, scope: Scope) -> None:
    ordinary(database)
    run = [document(2000 + n, RUN + n * 2 * MINUTE, entities=("Corvane",)) for n in range(60)]
    store(database, run)
    store(database, [document(9000 + n, RUN + n * 2 * MINUTE) for n in range(60)], topic="debt", sentiment="positive")
    go(database, RUN + 2 * HOUR, Rule(name="desk", channels=("console",), scope=scope))
    query = select(notifications.c.payload).order_by(notifications.c.notification_id).limit(1)
    with database.connect() as connection:
        payload: dict[str, Any] = connection.execute(query).scalar_one()
        bars = read_bars(connection, payload)
    start, end = bars.window
    assert (bars.step, end) == (5 * MINUTE, datetime.fromisoformat(payload["at"]) + MINUTE)
    assert bars.start + len(bars.n) * bars.step >= end > bars.start + (len(bars.n) - 1) * bars.step
    inside = [number for number in range(len(bars.n)) if bars.start + (number + 1) * bars.step > start]
    assert sum(bars.negative[number] for number in inside) >= payload["observed"] >= 8
    assert sum(bars.n[number] for number in inside) >= payload["messages"]
    assert bars.expected == pytest.approx(payload["expected"] * 5 / payload["window_minutes"])
    if not scope.sources:
        assert sum(bars.negative) <= sum(RUN <= item.published_at < end for item in run) + 4, "only its own are in it"


@pytest.mark.integration
def test_a_window_of_hours_is_drawn_by_the_hour(database: Engine) -> None:
    bank_run(database)
    payload = {"reasons": {"topic": "financials", "stream": "*"}, "window_minutes": 1440, "expected": 12.0}
    with database.connect() as connection:
        bars = read_bars(connection, {**payload, "at": (RUN + 3 * HOUR - MINUTE).isoformat()})
    assert (bars.step, len(bars.n), bars.expected) == (HOUR, 72, 0.5)
    assert sum(bars.negative[-3:]) == 90 + 2


@dataclass
class _Outcome:
    mail: Any
    hook: dict[str, Any]


def send(database: Engine, mail: Mail, **settings: Any) -> _Outcome:  # noqa: F811
    bank_run(database)
    with receiving() as hook:
        chosen = AlertsSettings(
            console=False,
            max_age_minutes=6000,
            critical_negative=1000,
            apprise_urls=[mail.url],
            webhook_urls=[SecretStr(hook.url)],
            webhook_secret=SecretStr("s"),
            **settings,
        )
        go(database, RUN + HOUR, Rule(name="desk"), settings=chosen)
        assert deliver(database, open_channels(chosen), chosen, RUN + 2 * HOUR).sent == 2
    [raw], [(_, _, body)] = mail.inbox.got, hook.got
    return _Outcome(email.message_from_bytes(raw, policy=default), json.loads(body))


@pytest.mark.integration
def test_a_mail_carries_the_chart_and_a_webhook_does_not(database: Engine, mail: Mail) -> None:  # noqa: F811
    found = send(database, mail)
    [attached] = found.mail.iter_attachments()
    assert shape(attached.get_content()) == (408, 1008, 4)
    assert "image" not in found.hook and found.hook["language"] == "en"


@pytest.mark.integration
def test_no_chart_is_drawn_where_the_settings_say_so(database: Engine, mail: Mail) -> None:  # noqa: F811
    assert list(send(database, mail, charts=False).mail.iter_attachments()) == []


@pytest.mark.integration
def test_a_chart_that_fails_holds_no_message_back(
    database: Engine,
    mail: Mail,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(connection: Any, *_: Any) -> None:
        connection.exec_driver_sql("SELECT 1 / 0")

    monkeypatch.setattr("alerts.outbox.picture", broken)
    found = send(database, mail)
    assert list(found.mail.iter_attachments()) == [] and "financials" in found.mail["Subject"]


def test_without_matplotlib_there_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert picture(None, {}, "title") is None  # type: ignore[arg-type]
