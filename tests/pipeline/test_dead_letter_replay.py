"""Dead letters are sent back once, and only what this release accepts."""

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kafka import KafkaProducer

from pipeline.dead_letter_archive import Archive
from pipeline.dead_letter_catalogue import Selection, catalogue
from pipeline.dead_letter_replay import ReplayReport, Sender, replay
from pipeline.dead_letters import LARGEST_LETTER, DeadLetter
from pipeline.reasons import Reason
from pipeline.settings import PipelineSettings
from tests.integration.conftest import HeaderNoUtf8
from tests.pipeline.letters import FIELDS, NOW, entries, letter, records, send, send_back, valid


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
        [(HeaderNoUtf8("name"), b"x")],
        [("reason", b"of-tomorrow"), ("topic", settings.news_topic.encode()), ("partition", b"0"), ("offset", b"5")],
    ]
    for headers in strange:
        producer.send(settings.dead_letter_topic, key=b"k", value=b"[" * 100_000, headers=headers)
    producer.send(settings.dead_letter_topic, value=b"nonsense", headers=[("marker", b"replayed")])
    producer.flush()
    producer.close()
    assert [(entry.reason, entry.source) for entry in entries(settings)] == [(None, None)] * 4
    assert send_back(settings) == ReplayReport(elsewhere=3, still_invalid=1)
