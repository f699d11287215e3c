"""Apprise URLs: a real mail server, chats on loopback, and long texts."""

import email
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.policy import default
from typing import Any

import pytest
import requests
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from alerts.channels.apprise_url import AppriseChannel
from alerts.errors import ChannelFailed
from tests.alerts.receivers import Receiver, free_port, message, receiving

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


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Whatever host a plug-in posts to, it is this one; all else is as in production."""
    with receiving() as receiver:
        send = requests.adapters.HTTPAdapter.send

        def here(self: Any, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            request.url = f"{receiver.url}{request.path_url}"
            return send(self, request, **kwargs)

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", here)
        receiver.says = b"ok"
        yield receiver


def _slack(post: Any) -> str:
    [part] = post["attachments"]
    assert post["mrkdwn"] is False
    for sign, name in (("<", "&lt;"), (">", "&gt;"), ("&", "&amp;")):
        assert sign not in part["text"].replace(name, "") or sign == "&"
        part["text"] = part["text"].replace(name, sign)
    return f"{part['title']}\n{part['text']}"


def _teams(post: Any) -> str:
    """Markdown: what is escaped, with an empty line where a new one is to begin."""
    card = post["attachments"][0]["content"]
    title, text = (block["text"] for block in card["body"] if block["type"] == "TextBlock")
    assert re.search(r"(?<!\\)[*_`\[]", text) is None
    plain = re.sub(r"\\(.)", r"\1", text)
    assert "\n" not in plain.replace("\n\n", "")
    return f"{title}\n{plain}".replace("\n\n", "\n")


_WORKFLOW = "workflow://prod-01.westus.logic.azure.com:443/643e69f83c8944/signature"
_HOOK = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", _slack),
        (_WORKFLOW, _teams),
        ("dingtalk://abcd1234efgh", lambda post: post["text"]["content"]),
        (f"feishu://{_HOOK}", lambda post: post["content"]["text"]),
        (f"lark://{_HOOK}", lambda post: post["content"]["text"]),
        ("wecombot://botkeybotkey", lambda post: post["text"]["content"]),
        ("discord://1234567890/abcdefghij", lambda post: post["content"]),
    ],
)
def test_chats_show_every_line_as_it_is_and_call_nobody(
    url: str, read: Callable[[Any], str], everywhere: Receiver
) -> None:
    strangers = '<at user_id="all">all</at> @everyone @ALL <!channel> <@U123> <#C1> @ana @**all**'
    lines = ["*spike* _in_ `debt` & [more](https://a.example/x_y?a=1&b=2)", "1. 债务：负面 12 条", "a@all.example"]
    lines.append("https://a.example/@ana/1")
    AppriseChannel("apprise:1", SecretStr(url)).send(replace(message(), body="\n".join([*lines, strangers])))
    [(_, _, body)] = everywhere.got
    title, *told = read(json.loads(body)).replace("\r", "").split("\n")
    assert title == "Newsquake: spike"
    assert [line.replace("\u2060", "") for line in told] == [*lines, strangers]
    assert re.search(r"<at|@everyone|@all\b(?!\.)|<[!@#]|@ana|@\*", told[-1], re.IGNORECASE) is None
    assert "](" not in told[0] and told[3] == lines[3]


@pytest.mark.parametrize("status", [0, 400, 429, 500])
def test_a_chat_that_refuses_or_hangs_up_is_a_failed_try(status: int, everywhere: Receiver) -> None:
    everywhere.answers = [(status, {})]
    with pytest.raises(ChannelFailed):
        AppriseChannel("apprise:1", SecretStr(_WORKFLOW)).send(message())
