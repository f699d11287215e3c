"""Apprise URLs: a real mail server, chats on loopback, and long texts."""

import email
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from alerts.channels.apprise_url import AppriseChannel
from alerts.errors import ChannelFailed
from tests.alerts.receivers import free_port, message, receiving

_LONG = "\n".join(f"line {number} with * _ < & characters" for number in range(600))
_PNG = bytes.fromhex("89504e470d0a1a0a")


class Inbox:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append(envelope.content)
        return "250 kept"


@dataclass(frozen=True)
class Mail:
    url: SecretStr
    inbox: Inbox


@pytest.fixture
def mail() -> Iterator[Mail]:
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=(port := free_port()))
    controller.start()
    try:
        yield Mail(SecretStr(f"mailto://127.0.0.1:{port}?from=quake@example.org&to=ana@example.org"), inbox)
    finally:
        controller.stop()


def test_a_mail_arrives_once_whole_and_with_its_picture(mail: Mail) -> None:
    AppriseChannel("apprise:1:mailto", mail.url).send(replace(message(), body=_LONG, image=_PNG))
    [raw] = mail.inbox.got
    found = email.message_from_bytes(raw, policy=default)
    assert found["Subject"] == "Newsquake: spike"
    text = found.get_body(("plain", "html"))
    assert text is not None
    assert "line 599" in text.get_content()
    assert [part.get_content() for part in found.iter_attachments()] == [_PNG]


def test_a_mail_server_that_is_away_is_a_failed_try() -> None:
    with pytest.raises(ChannelFailed):
        AppriseChannel("apprise:1:mailto", SecretStr("mailto://127.0.0.1:9?from=a@example.org")).send(message())


def test_chats_on_a_host_of_ones_own_get_the_text_without_the_picture_they_cannot_take() -> None:
    with receiving() as receiver:
        url = receiver.url.replace("http://", "json://")
        AppriseChannel("apprise:1:json", SecretStr(url)).send(message())
    [(_, _, body)] = receiver.got
    assert json.loads(body)["message"] == "nine of ten"


@pytest.mark.parametrize(
    "url",
    [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
        "dingtalk://abcd1234efgh",
        "feishu://00000000-0000-0000-0000-000000000000",
        "wecombot://botkeybotkey",
        "discord://1234567890/abcdefghij",
    ],
)
def test_long_texts_are_split_at_the_limit_of_the_service(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = AppriseChannel("apprise:1", SecretStr(url))
    [plugin] = channel._target
    posts: list[str] = []
    monkeypatch.setattr(plugin, "send", lambda body, **_: posts.append(body) or True)
    long = _LONG * (2 + plugin.body_maxlen // len(_LONG))
    channel.send(replace(message(), body=long))
    assert len(posts) > 1
    assert all(len(post) <= plugin.body_maxlen for post in posts)
    assert "line 599" in posts[-1]
