"""What people read, and through which channels."""

import re
import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from alerts.assess import Spike
from alerts.channels import AppriseChannel, channel_labels, open_channels
from alerts.episodes import Book, step
from alerts.errors import ChannelFailed, InvalidChannel
from alerts.evidence import Confirmed, Sample, confirm, weigh
from alerts.message import Message, compose
from alerts.phrases import EN, PHRASES, ZH
from alerts.printable import clean, link
from alerts.series import EVERYTHING, Part, Series
from alerts.settings import AlertsSettings
from tests.alerts.test_episodes import RUN, spike
from tests.alerts.traffic import MONDAY, SETTINGS, document

NOW = {"until": "2026-03-02T01:00:00+00:00", "window_minutes": 60, "messages": 9, "negatives": 7}

# Apprise loads its mail plug-in with a module that Python 3.11 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")


def fired(series: Series = RUN, part: Part = EVERYTHING) -> Any:
    nasty = "Queue at the branch\x1b[2J \u202eand\r\nno cash " + "left " * 80
    found = [document(1, MONDAY, words=nasty), *(document(number, MONDAY) for number in range(2, 14))]
    found = [
        replace(item, url=f"https://example.com/{item.key}", score=-0.92 + n / 1000) for n, item in enumerate(found)
    ]
    evidence = weigh(Sample(tuple(found), len(found)))
    fire = spike(series, 0, observed=13)

    def examine(found: Spike) -> Confirmed | None:
        confirmed = confirm(found, evidence, SETTINGS)
        return confirmed and replace(confirmed, terms=lambda: ["queue", "现金不足", "no\x1bcash"])

    change = step(Book(part=part), MONDAY, [fire], {series}, 13, examine, SETTINGS)[0]
    change.episode.alert_id = 17
    return change


def test_a_message_says_what_why_since_when_and_where_to_look() -> None:
    message = compose(fired())
    assert message.title == "Newsquake: negative spike in financials (comments)"
    lines = message.body.splitlines()
    assert lines[0] == ("financials, comments: 13 negative of 13 messages in 60 min; 1.0 expected: 13.0 times as many.")
    assert lines[1] == "Warning since 2026-03-02 00:00 UTC; newest minute 2026-03-02 00:00 UTC."
    assert re.fullmatch(r"By chance alone in about 1 of \d00,000 such windows \(volume test, p = \de-06\)\.", lines[2])
    assert lines[3].startswith("13 count, in 13 distinct texts from 4 sources: source-1 (4), ")
    assert lines[4:6] == ["New in what they say: queue, 现金不足, no cash.", "Most named: Merrowdale Bank (13)."]
    assert [line[:7] for line in lines[7:13:2]] == ["  -0.92"] * 3
    assert all(line.startswith("    https://example.com/") for line in lines[8:13:2])
    assert "FROM worst_documents WHERE topic = 'financials' AND stream = 'comment' AND" in lines[14]
    assert lines[15:] == ["Take it on:", "  newsquake alerts ack 17", "Silence it:",
                          "  newsquake alerts silence --topic=financials --for 2h"]  # fmt: skip


def test_a_chinese_message_says_the_same_in_chinese() -> None:
    message = compose(fired(), "zh")
    assert message.title == "Newsquake：金融机构负面情绪激增（评论）"
    lines = message.body.splitlines()
    assert lines[0] == "金融机构、评论：60 分钟内 13 条消息中有 13 条负面，预期 1.0 条，为预期的 13.0 倍。"
    assert lines[1] == "警告，始于 2026-03-02 00:00 UTC；最新一分钟为 2026-03-02 00:00 UTC。"
    assert re.fullmatch(r"若纯属偶然，约每 \d+ 万个同样的时段才有 1 个（数量检验，p = \de-06）。", lines[2])
    assert "  newsquake alerts ack 17" in lines
    english = [line for line in lines if re.match(r"[A-Z][a-z]", line)]
    assert english == []


@pytest.mark.parametrize("kind", sorted(EN.titles))
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_kind_has_a_title_and_a_body_in_every_language(kind: str, language: str) -> None:
    change = fired()
    message = compose(replace(change, kind=kind, detail={**change.detail, "now": NOW}), language)  # type: ignore[arg-type]
    assert message.title and message.body and "{" not in message.title + message.body
    assert ("goes on" in message.title) == (kind == "repeated" and language == "en")


def test_both_languages_have_the_same_words_and_slots() -> None:
    for name in EN.__dataclass_fields__:
        ours, theirs = getattr(EN, name), getattr(ZH, name)
        if isinstance(ours, str):
            assert set(re.findall(r"{\w+", ours)) == set(re.findall(r"{\w+", theirs)), name
        elif name not in ("topics", "large"):
            assert ours.keys() == theirs.keys(), name
    from models.labels import TOPICS

    assert set(ZH.topics) == set(TOPICS)
    assert set(PHRASES) == {"en", "zh"}


def test_names_languages_and_sources_are_in_the_title() -> None:
    name = Series("*", "comment", "O'Brien; rm -rf ~\n& Söhne")
    message = compose(fired(name))
    assert message.title == "Newsquake: negative spike about O'Brien; rm -rf ~ & Söhne (comments)"
    command = message.body.splitlines()[-1].strip()
    assert shlex.split(command)[3:] == ["--entity=O'Brien; rm -rf ~ & Söhne", "--for", "2h"]
    assert "'O''Brien; rm -rf ~ & Söhne' = ANY(entities)" in message.body
    assert compose(fired(name), "zh").title == "Newsquake：“O'Brien; rm -rf ~ & Söhne”负面情绪激增（评论）"
    part = Part(("zh",), ("rss:*", "a%b"))
    assert compose(fired(Series("*", "*"), part)).title == (
        "Newsquake: negative spike in all topics in zh from rss:*, a%b (comments, news)"
    )
    assert (
        compose(fired(RUN, part), "zh").title
        == "Newsquake：金融机构（仅计 zh 消息）（仅计来源 rss:*、a%b）负面情绪激增（评论）"
    )
    assert compose(fired(Series("*", "*"))).body.splitlines()[-1] == "  newsquake alerts silence --all --for 2h"
    assert (
        compose(fired(Series("*", "news"))).body.splitlines()[-1] == "  newsquake alerts silence --stream=news --for 2h"
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/a?b=1", True),
        ("http://example.com", True),
        ("javascript:alert(1)", False),
        ("https://example.com/\x1b[2J", False),
        ("https://example.com/a b", False),
        ("https://example.com/\u202ecod", False),
        ("https://example.com/" + "x" * 600, False),
        (None, False),
    ],
)
def test_only_addresses_that_are_plainly_addresses_are_shown(url: str | None, shown: bool) -> None:
    assert link(url) == (url if shown else None)


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
