"""What people read, and through which channels."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from alerts.channels import AppriseChannel, channel_labels, open_channels
from alerts.episodes import Book, step
from alerts.errors import ChannelFailed, InvalidChannel
from alerts.evidence import Sample, confirm, weigh
from alerts.message import Message, clean, compose
from alerts.settings import AlertsSettings
from tests.alerts.test_episodes import RUN, spike
from tests.alerts.traffic import MONDAY, SETTINGS, document

# Apprise loads its mail plug-in with a module that Python 3.11 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")


def fired() -> Any:
    nasty = "Queue at the branch\x1b[2J \u202eand\r\nno cash " + "left " * 80
    found = [document(1, MONDAY, words=nasty), *(document(number, MONDAY) for number in range(2, 14))]
    evidence = weigh(Sample(tuple(found), len(found)))
    fire = spike(RUN, 0, observed=13)
    return step(Book(), MONDAY, [fire], {RUN}, 13, lambda s: confirm(s, evidence, SETTINGS), SETTINGS)[0]


def test_a_message_says_what_why_since_when_and_where_to_look() -> None:
    message = compose(fired())
    assert message.title == "Newsquake: negative spike in financials (comments)"
    assert "13 negative of 13 messages in 60 min; 1.0 expected (volume test); p = " in message.body
    assert "since 2026-03-02 00:00 UTC" in message.body
    assert "13 distinct texts from 4 sources" in message.body
    assert "Most named: Merrowdale Bank (13)." in message.body
    assert "WHERE sentiment = 'negative' AND topic = 'financials' AND stream = 'comment'" in message.body


def test_strangers_texts_cannot_move_the_cursor_or_fill_the_screen() -> None:
    body = compose(fired()).body
    assert not set(body) & {"\x1b", "\u202e", "\r"}
    assert max(len(line) for line in body.splitlines() if "branch" in line) < 190
    assert clean("a\u200bb\n c" + "x" * 500).startswith("a b c")


def test_the_end_is_told_in_two_lines() -> None:
    change = fired()
    book = Book(current=change.episode)
    over = step(book, MONDAY + timedelta(hours=1), [], set(), 0, lambda s: None, SETTINGS)[0]
    message = compose(over)
    assert message.title == "Newsquake: negative spike in financials is over"
    assert message.body.splitlines()[1] == "Began 2026-03-02 00:00 UTC, closed 2026-03-02 01:00 UTC."


def test_labels_never_hold_a_secret() -> None:
    urls = [SecretStr("slack://tokenA/tokenB/tokenC"), SecretStr("no-scheme-but-secret")]
    settings = AlertsSettings(apprise_urls=urls)
    assert channel_labels(settings) == ["console", "apprise:1:slack", "apprise:2:unknown"]
    assert "token" not in repr(settings)
    with pytest.raises(InvalidChannel) as refused:
        open_channels(settings)
    assert "secret" not in str(refused.value) and "token" not in str(refused.value)


def test_a_service_that_does_not_answer_is_a_failed_channel() -> None:
    channel = AppriseChannel("apprise:1:json", SecretStr("json://user:secret@127.0.0.1:9/hook"))
    with pytest.raises(ChannelFailed) as failed:
        channel.send(Message("Newsquake: test", "body"))
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("written", ['["json://a", "json://b"]', "json://a,json://b", "json://a json://b"])
def test_urls_may_be_written_as_a_list_or_with_separators(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("NEWSQUAKE_ALERTS_APPRISE_URLS", written)
    monkeypatch.setenv("NEWSQUAKE_ALERTS_WINDOWS", "60,15,15")
    settings = AlertsSettings()
    assert [url.get_secret_value() for url in settings.apprise_urls] == ["json://a", "json://b"]
    assert settings.windows == (15, 60)


@pytest.mark.parametrize("wrong", [{"windows": "0"}, {"windows": "9999"}, {"windows": ""}, {"tick_seconds": 0}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertsSettings(**wrong)
