"""Dead letters on a real broker: sent by the worker's own producer and read back."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.admin import NewTopic

from newsquake.servers.tansu import Tansu
from newsquake.stack.guardian import Guardian
from pipeline.dead_letter_archive import Archive, recent
from pipeline.dead_letter_catalogue import catalogue
from pipeline.dead_letter_replay import ReplayReport, Sender
from pipeline.dead_letters import LARGEST_LETTER, DeadLetter
from pipeline.errors import BrokerUnreachable, DeadLetterMissing, TopicsMissing
from pipeline.reasons import Reason
from pipeline.settings import PipelineSettings
from pipeline.topics import STREAM_BYTES, admin, create_topics
from tests.pipeline.letters import entries, letter, records, send, send_back, valid


@given(st.text(alphabet=st.characters()), st.integers(0, 3))
def test_an_error_of_any_length_and_characters_is_cut_between_two_of_them(error: str, shift: int) -> None:
    text = "x" * shift + (error or "市") * 1_000
    cut = DeadLetter(Reason.INVALID, text, "t", 0, 0, None, None).headers["error"]
    assert 996 < len(cut) <= 1_000 or len(text) < 1_000
    assert text.encode("utf-8", "backslashreplace").startswith(cut.decode().encode())


def test_letters_come_back_with_bytes_coordinates_and_reason(settings: PipelineSettings, tmp_path: Path) -> None:
    kinds = list(Reason)
    sent = [letter(settings, number, bytes([number % 256, 255]), kinds[number % len(kinds)]) for number in range(1_200)]
    send(settings, tmp_path, [], sent)
    with Archive(settings) as archive:
        found = list(archive.read())
    assert [(one.reason, one.error, one.origin, one.key, one.value) for one in found] == [
        (one.reason, "it failed", (settings.news_topic, 1, one.offset), b"wire", one.value) for one in sent
    ]
    assert abs(found[0].at - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_largest_message_and_one_without_key_and_value_pass(settings: PipelineSettings, tmp_path: Path) -> None:
    large = DeadLetter(Reason.TOO_LARGE, "…", settings.news_topic, 0, 1, None, b"\xff" * (STREAM_BYTES - 100))
    nothing = DeadLetter(Reason.TOMBSTONE, "…", settings.news_topic, 0, 2, None, None)
    empty = DeadLetter(Reason.TOMBSTONE, "…", settings.news_topic, 0, 3, b"", None)
    send(settings, tmp_path, [large, nothing, empty])
    with Archive(settings) as archive:
        found = sorted(archive.read(), key=lambda one: one.origin or ())
    assert [(one.key, one.value) for one in found] == [(None, large.value), (None, None), (b"", None)]


@pytest.mark.parametrize(
    "value", [b"x" * (LARGEST_LETTER + 1), secrets.token_bytes(STREAM_BYTES + (2 << 20))], ids=["for us", "for Kafka"]
)
def test_a_value_that_is_too_large_for_any_topic_arrives_cut(
    settings: PipelineSettings, tmp_path: Path, value: bytes
) -> None:
    send(settings, tmp_path, [letter(settings, 1, b"{"), letter(settings, 0, value)])
    with Archive(settings) as archive:
        found = {one.origin[2]: one for one in archive.read() if one.origin}
    assert found[1].value == b"{"
    if len(value) <= LARGEST_LETTER and found[0].value == value:
        return  # Tansu takes what Kafka refuses
    assert found[0].value == value[: 512 << 10]
    assert found[0].headers["cut-from"] == str(len(value))


def test_a_topic_that_somebody_made_with_kafkas_own_limit_takes_letters_cut(
    settings: PipelineSettings, tmp_path: Path
) -> None:
    named = settings.model_copy(update={"dead_letter_topic": f"{settings.dead_letter_topic}-plain"})
    client = admin(named)
    client.create_topics([NewTopic(named.dead_letter_topic, num_partitions=1, replication_factor=1)])
    client.close()
    value = secrets.token_bytes(3 << 20)
    send(named, tmp_path, [letter(named, 0, value), letter(named, 1, b"{")])
    with Archive(named) as archive:
        found = {one.origin[2]: one for one in archive.read() if one.origin}
    assert found[1].value == b"{"
    assert found[0].value in (value, value[: 512 << 10]), "Tansu takes what Kafka refuses"


def test_a_letter_that_was_sent_twice_is_one(settings: PipelineSettings, tmp_path: Path) -> None:
    twice = letter(settings, 7, valid(7))
    send(settings, tmp_path, [twice], [letter(settings, 8, valid(8))], [twice])
    found = entries(settings)
    assert [(entry.id, entry.copies) for entry in found] == [("7", ((0, 0), (0, 2))), ("8", ((0, 1),))]
    assert send_back(settings).sent == 2
    assert len(records(settings, settings.news_topic)) == 2


def test_the_same_coordinates_in_a_topic_made_anew_are_another_letter(
    settings: PipelineSettings, tmp_path: Path
) -> None:
    send(settings, tmp_path, [letter(settings, 7, valid(7)), letter(settings, 7, valid(70))])
    assert [entry.id for entry in entries(settings)] == ["7", "70"]


def test_one_letter_is_found_by_its_offset(settings: PipelineSettings, tmp_path: Path) -> None:
    with Archive(settings) as archive, pytest.raises(DeadLetterMissing, match="offset 0"):
        archive.letter(0, 0)
    send(settings, tmp_path, [letter(settings, number, valid(number)) for number in range(20)])
    with Archive(settings) as archive:
        assert archive.letter(0, 13).value == valid(13)
        for partition, offset in ((0, 20), (0, 1 << 40), (5, 0)):
            with pytest.raises(DeadLetterMissing):
                archive.letter(partition, offset)


def test_the_newest_letters_tell_a_limit_where_it_stood(settings: PipelineSettings, tmp_path: Path) -> None:
    assert recent(settings, 10, 60) == []
    send(settings, tmp_path, *([letter(settings, number, b"{" * 1_000)] for number in range(30)))
    found = recent(settings, 10, 60)
    assert [one.offset for one in found][-10:] == list(range(20, 30))
    assert len(found) <= 12 and all(one.value is None for one in found)
    with pytest.raises(BrokerUnreachable, match="within 0 s"):
        recent(settings, 10, 0)


def test_a_missing_topic_and_a_broker_that_is_gone_are_told(
    settings: PipelineSettings, server_dir: Path, guardian: Guardian, topic_names: Callable[[str], str]
) -> None:
    with (
        pytest.raises(TopicsMissing, match="topics create"),
        Archive(settings.model_copy(update={"dead_letter_topic": topic_names("absent")})) as archive,
    ):
        next(archive.read(), None)
    broker = Tansu(server_dir / f"{topic_names('tansu')}.log", watch=guardian.watch)
    broker.start()
    own = settings.model_copy(update={"broker": broker.address})
    try:
        create_topics(own)
        send(own, server_dir, [letter(own, number, valid(number)) for number in range(5)])
        with Archive(own) as archive, Sender(own, delivery_timeout=3) as sender:
            found = catalogue(archive.read())
            letters = list(archive.read())
            broker.kill()
            report = ReplayReport()
            for one in letters:
                sender.send(one, report)
            sender.settle(report)
            assert (report.sent, report.failed, sender.given_up, len(found)) == (0, 5, True, 5)
    finally:
        broker.stop(1)
    with pytest.raises(BrokerUnreachable):
        Archive(own)
