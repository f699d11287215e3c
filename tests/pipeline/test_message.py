"""The wire format: what is accepted, what is not, and that nothing but `InvalidMessage` ever comes out."""

import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidMessage
from pipeline.message import MAX_BYTES, content_hash, decode, encode, language
from pipeline.reasons import Reason

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
GOOD: dict[str, object] = {
    "id": "1",
    "source": "wire",
    "published_at": "2026-03-10T19:59:00+08:00",
    "text": "Profit rose.",
}


def value(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def test_a_valid_message_comes_back_in_utc_and_unknown_fields_are_ignored() -> None:
    message = decode(value(unknown={"deep": [1]}, entities=["A", "B"]), now=NOW)
    assert message.published_at == datetime(2026, 3, 10, 11, 59, tzinfo=UTC)
    assert message.published_at.utcoffset() == timedelta(0)
    assert message.entities == ["A", "B"]


def test_encoding_is_the_inverse_of_decoding() -> None:
    message = decode(value(title="市场", url="https://example.com", lang="zh"), now=NOW)
    assert decode(encode(message), now=NOW) == message


MALFORMED = {
    "tombstone": (None, "tombstone"),
    "empty": (b"", "not JSON"),
    "bad UTF-8": (b'{"id":"\xff"}', "not UTF-8"),
    "bad JSON": (b"{nope", "not JSON"),
    "not an object": (b"[1]", "Expected `object`"),
    "deep nesting": (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "5 MB": (value(text="x" * 5_000_000), "bytes"),
    "missing id": (json.dumps({k: v for k, v in GOOD.items() if k != "id"}).encode(), "`id`"),
    "wrong type": (value(id=5), "Expected `str`"),
    "empty text": (value(text=""), "length >= 1"),
    "blank text": (value(text=" \n\t"), "blank"),
    "long text": (value(text="x" * 20_001), "length <= 20000"),
    "long id": (value(id="x" * 201), "length <= 200"),
    "long source": (value(source="x" * 81), "length <= 80"),
    "year 9999": (value(published_at="9999-12-31T23:59:59Z"), "ahead of now"),
    "year 9999 westward": (value(published_at="9999-12-31T23:59:59-23:00"), "out of range"),
    "year 1 eastward": (value(published_at="0001-01-01T00:00:00+23:00"), "out of range"),
    "before 1970": (value(published_at="1969-12-31T23:59:59Z"), "before 1970"),
    "25 h ahead": (value(published_at="2026-03-11T13:00:01Z"), "ahead of now"),
    "no offset": (value(published_at="2026-03-10T12:00:00"), "timezone"),
    "time as number": (value(published_at=1_773_144_000), "Expected `datetime`"),
    "null byte in text": (value(text="a\0b"), "null character"),
    "null byte in an entity": (value(entities=["a\0b"]), "null character"),
    "lone surrogate": (b'{"id":"\\ud800","source":"s","published_at":"2026-03-10T12:00:00Z","text":"t"}', "not JSON"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_message_is_refused_with_its_reason(name: str) -> None:
    raw, reason = MALFORMED[name]
    with pytest.raises(InvalidMessage, match=reason):
        decode(raw, now=NOW)


KINDS = {
    Reason.TOMBSTONE: ["tombstone"],
    Reason.TOO_LARGE: ["5 MB"],
    Reason.NOT_UTF8: ["bad UTF-8"],
    Reason.NOT_JSON: ["empty", "bad JSON", "deep nesting", "lone surrogate"],
    Reason.BAD_TIME: ["year 9999", "year 9999 westward", "year 1 eastward", "before 1970", "25 h ahead"],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_each_refusal_is_of_one_kind(name: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode(MALFORMED[name][0], now=NOW)
    expected = [reason for reason, names in KINDS.items() if name in names] or [Reason.INVALID]
    assert [caught.value.reason] == expected
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.reason, str(copy)) == (caught.value.reason, str(caught.value))


def test_the_size_limit_leaves_room_for_the_longest_text() -> None:
    assert len(value(text="\U0001f600" * 20_000)) < MAX_BYTES
    assert decode(value(text="\U0001f600" * 20_000), now=NOW).text


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_no_bytes_bring_out_another_error(raw: bytes) -> None:
    with pytest.raises(InvalidMessage):
        decode(raw, now=NOW)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()), st.datetimes().map(str))
            for name in ("id", "source", "published_at", "text", "title", "url", "author", "lang", "entities")
        },
    )
)
def test_any_object_is_a_message_or_invalid(fields: dict[str, object]) -> None:
    try:
        message = decode(json.dumps(fields).encode(), now=NOW)
    except InvalidMessage:
        return
    assert message.text.strip()
    assert message.published_at <= NOW + timedelta(hours=24)


def test_the_title_stands_in_front_of_the_text_once() -> None:
    assert decode(value(title="Profit up"), now=NOW).scored_text == "Profit up. Profit rose."
    assert decode(value(title="Profit rose"), now=NOW).scored_text == "Profit rose."
    assert decode(value(title="降息", text="【降息】央行宣布降息"), now=NOW).scored_text == "【降息】央行宣布降息"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"lang": "zh-Hans-CN"}, "zh"),
        ({"lang": "EN_us"}, "en"),
        ({"lang": "???"}, "en"),
        ({"text": "央行宣布降准50个基点"}, "zh"),
        ({"text": "Tencent (腾讯) shares rose in early trading on Monday in Hong Kong"}, "en"),
    ],
)
def test_the_language_is_the_sources_word_or_told_from_the_script(fields: dict[str, object], expected: str) -> None:
    assert language(decode(value(**fields), now=NOW)) == expected


def test_copies_that_differ_in_case_width_or_emoji_share_a_content_hash() -> None:
    original = content_hash(decode(value(text="Sell everything, now"), now=NOW))
    for copy in ("SELL EVERYTHING NOW!!!", "Sell  everything, now \U0001f4c9", "Ｓell everything， now"):
        assert content_hash(decode(value(text=copy), now=NOW)) == original
    assert content_hash(decode(value(text="Buy everything, now"), now=NOW)) != original


def test_the_key_depends_on_source_and_id_alone() -> None:
    message = decode(value(), now=NOW)
    assert decode(value(text="other", published_at="2026-03-09T00:00:00Z"), now=NOW).key == message.key
    assert decode(value(source="wire1"), now=NOW).key != message.key
    assert decode(value(source="a", id="b:c"), now=NOW).key != decode(value(source="a:b", id="c"), now=NOW).key
