"""Dead letters on a real broker: sent by the worker's own producer, read back, sent back once."""

import asyncio
import json
import secrets
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from newsquake.servers.tansu import Tansu
from newsquake.stack.guardian import Guardian
from pipeline.app import create_app
from pipeline.dead_letter_archive import Archive, recent
from pipeline.dead_letter_catalogue import Entry, Selection, catalogue
from pipeline.dead_letter_replay import ReplayReport, Sender, replay
from pipeline.dead_letters import LARGEST_LETTER, DeadLetter, DeadLetterTopic, replay_of
from pipeline.errors import BrokerUnreachable, DeadLetterMissing, TopicsMissing
from pipeline.reasons import Reason
from pipeline.settings import PipelineSettings
from pipeline.topics import STREAM_BYTES, admin, create_topics

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
FIELDS = {"id": "1", "source": "wire", "published_at": "2026-03-10T12:00:00Z", "text": "Profit rose."}


def valid(number: int) -> bytes:
    return json.dumps({**FIELDS, "id": str(number)}).encode()


def letter(
    settings: PipelineSettings, offset: int, value: bytes | None, reason: Reason = Reason.CLASSIFIER
) -> DeadLetter:
    return DeadLetter(reason, "it failed", settings.news_topic, 1, offset, b"wire", value)


def send(settings: PipelineSettings, folder: Path, *batches: Sequence[DeadLetter]) -> None:
    """Each batch by the worker's own producer."""

    async def sending() -> None:
        app = create_app(settings, str(folder))
        app.finalize()
        topic = DeadLetterTopic(app, settings.dead_letter_topic)
        try:
            for batch in batches:
                await topic.send(batch)
        finally:
            await app.producer.stop()

    asyncio.run(sending())


def entries(settings: PipelineSettings) -> list[Entry]:
    with Archive(settings) as archive:
        return catalogue(archive.read())


def send_back(
    settings: PipelineSettings,
    selection: Selection = Selection(),  # noqa: B008, frozen
    *,
    again: bool = False,
    dry_run: bool = False,
) -> ReplayReport:
    with Archive(settings) as archive:
        chosen = [e for e in catalogue(archive.read()) if selection.covers(e) and (again or not e.replayed)]
        if dry_run:
            return replay(archive, chosen, None, topics=settings.topics, now=NOW)
        with Sender(settings) as sender:
            return replay(archive, chosen, sender, topics=settings.topics, now=NOW)


def records(settings: PipelineSettings, topic: str) -> list[tuple[bytes | None, bytes | None, str | None]]:
    """Key, value and `replayed` header of everything on a topic."""
    consumer = KafkaConsumer(bootstrap_servers=settings.broker, enable_auto_commit=False, group_id=None)
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    found = []
    while polled := consumer.poll(1_000):
        for batch in polled.values():
            found += [(record.key, record.value, replay_of(record.headers)) for record in batch]
    consumer.close()
    return found


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


def test_replaying_twice_changes_nothing(settings: PipelineSettings, tmp_path: Path) -> None:
    send(settings, tmp_path, [letter(settings, number, valid(number)) for number in range(1_100)])
    assert send_back(settings) == ReplayReport(sent=1_100)
    sent = records(settings, settings.news_topic)
    assert sorted(sent, key=str) == sorted(((b"wire", valid(n), f"0@{n}") for n in range(1_100)), key=str)
    assert send_back(settings) == ReplayReport()
    assert all(entry.replayed for entry in entries(settings))
    send(settings, tmp_path, [letter(settings, 2_000, valid(2_000))])
    assert send_back(settings) == ReplayReport(sent=1)
    assert len(records(settings, settings.news_topic)) == 1_101


def test_a_selection_is_remembered_like_the_whole(settings: PipelineSettings, tmp_path: Path) -> None:
    send(
        settings,
        tmp_path,
        [letter(settings, n, valid(n), Reason.DATABASE if n % 3 else Reason.CLASSIFIER) for n in range(30)],
    )
    only = Selection(reason=Reason.DATABASE)
    assert (send_back(settings, only).sent, send_back(settings, only).sent) == (20, 0)
    assert (send_back(settings).sent, send_back(settings).sent) == (10, 0)
    named = Selection(positions={(0, 3), (0, 4)})
    assert (send_back(settings, named).sent, send_back(settings, named, again=True).sent) == (0, 2)
    assert send_back(settings, Selection(topic="elsewhere"), again=True) == ReplayReport()
    assert send_back(settings, Selection(since=datetime.now(UTC) + timedelta(hours=1)), again=True) == ReplayReport()


def test_what_this_release_rejects_stays_and_is_sent_once_it_does_not(
    settings: PipelineSettings, tmp_path: Path
) -> None:
    early = json.dumps({**FIELDS, "published_at": "2026-03-12T12:00:00Z"}).encode()
    elsewhere = DeadLetter(Reason.INVALID, "…", "another-topic", 0, 0, None, valid(9))
    batch = [
        letter(settings, 0, early, Reason.BAD_TIME),
        letter(settings, 1, valid(1)),
        letter(settings, 2, None),
        elsewhere,
    ]
    send(settings, tmp_path, batch)
    assert send_back(settings, dry_run=True) == ReplayReport(sent=1, still_invalid=2, elsewhere=1)
    assert records(settings, settings.news_topic) == []
    assert send_back(settings) == ReplayReport(sent=1, still_invalid=2, elsewhere=1)
    with Archive(settings) as archive, Sender(settings) as sender:
        waiting = [entry for entry in catalogue(archive.read()) if not entry.replayed]
        later = replay(archive, waiting, sender, topics=settings.topics, now=NOW + timedelta(days=2))
    assert later == ReplayReport(sent=1, still_invalid=1, elsewhere=1)


def test_what_was_cut_is_not_sent_back_though_its_beginning_is_valid(
    settings: PipelineSettings, tmp_path: Path
) -> None:
    send(
        settings,
        tmp_path,
        [letter(settings, 1, valid(1) + b" " * LARGEST_LETTER + b"{"), letter(settings, 2, valid(2))],
    )
    report = send_back(settings)
    assert (report.sent, report.still_invalid) == (1, 1)


def test_a_stop_leaves_the_rest_for_the_next_replay(settings: PipelineSettings, tmp_path: Path) -> None:
    send(settings, tmp_path, [letter(settings, number, valid(number)) for number in range(10)])
    stop = threading.Event()
    with Archive(settings) as archive, Sender(settings) as sender:
        report = replay(
            archive,
            catalogue(archive.read()),
            sender,
            topics=settings.topics,
            now=NOW,
            stop=stop,
            on_letter=lambda seen: stop.set() if seen.left == 6 else None,
        )
    assert report == ReplayReport(sent=4, left=6)
    assert send_back(settings) == ReplayReport(sent=6)


def test_records_of_others_are_listed_and_never_sent(settings: PipelineSettings) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.broker, acks="all")
    strange: list[list[tuple[str, bytes]]] = [
        [],
        [("reason", b"\xff"), ("topic", b"\xff"), ("partition", b"x"), ("offset", b"")],
        [("reason", b"of-tomorrow"), ("topic", settings.news_topic.encode()), ("partition", b"0"), ("offset", b"5")],
    ]
    for headers in strange:
        producer.send(settings.dead_letter_topic, key=b"k", value=b"[" * 100_000, headers=headers)
    producer.send(settings.dead_letter_topic, value=b"nonsense", headers=[("marker", b"replayed")])
    producer.flush()
    producer.close()
    assert [(entry.reason, entry.source) for entry in entries(settings)] == [(None, None)] * 3
    assert send_back(settings) == ReplayReport(elsewhere=2, still_invalid=1)


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
    assert recent(settings, 10) == []
    send(settings, tmp_path, *([letter(settings, number, b"{" * 1_000)] for number in range(30)))
    found = recent(settings, 10)
    assert [one.offset for one in found][-10:] == list(range(20, 30))
    assert len(found) <= 12 and all(one.value is None for one in found)


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
