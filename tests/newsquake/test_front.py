"""The door before Tansu: what it changes of the first answer, and that everything else passes."""

import shutil
import socket
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer

from newsquake.servers.front import without_tags
from pipeline.settings import PipelineSettings
from pipeline.topics import create_topics

CLIENT = b"\x00\x04test"
REQUEST = struct.pack(">hhi", 18, 3, 7) + CLIENT + b"\0" + b"\x05test" + b"\x021" + b"\0"
PLAIN = struct.pack(">ih", 7, 0) + b"\x03" + struct.pack(">hhhb", 0, 0, 9, 0) + struct.pack(">hhhb", 18, 0, 4, 0)


def test_tagged_fields_are_left_out() -> None:
    tags = b"\x02" + b"\x00\x01\x01" + b"\x01\x08" + b"\xff" * 8
    assert without_tags(PLAIN + b"\0\0\0\0" + tags) == PLAIN + b"\0\0\0\0\0"
    assert without_tags(PLAIN + b"\0\0\0\0\0") == PLAIN + b"\0\0\0\0\0"


def test_an_answer_that_is_an_error_passes_as_it_is() -> None:
    refused = struct.pack(">ih", 7, 35) + b"\0\0\0\0\0\0"
    assert without_tags(refused) == refused


@given(st.binary(max_size=60))
def test_any_answer_comes_through(answer: bytes) -> None:
    passed = without_tags(answer)
    assert passed == answer or answer.startswith(passed[:-1])


def test_the_broker_answers_the_handshake_without_tagged_fields(broker: str) -> None:
    host, port = broker.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(struct.pack(">i", len(REQUEST)) + REQUEST)
        stream = connection.makefile("rb")
        answer = stream.read(struct.unpack(">i", stream.read(4))[0])
    if len(answer) < 400:  # Tansu, which knows fewer APIs than Apache Kafka
        assert answer == without_tags(answer)
    assert struct.unpack(">ih", answer[:6]) == (7, 0)


def test_kcat_publishes_to_the_broker(broker: str, topic_names: object) -> None:
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    if not kcat:
        pytest.skip("kcat is not installed")
    assert callable(topic_names)
    settings = PipelineSettings(
        broker=broker,
        news_topic=topic_names("news"),
        comments_topic=topic_names("comments"),
        dead_letter_topic=topic_names("dead"),
    )
    create_topics(settings)
    argv = [kcat, "-P", "-b", broker, "-t", settings.news_topic, "-k", "wire", "-z", "lz4"]
    subprocess.run(argv, input=b"one\ntwo\n", check=True, timeout=30)
    consumer = KafkaConsumer(
        settings.news_topic, bootstrap_servers=broker, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    assert {next(consumer).value, next(consumer).value} == {b"one", b"two"}
    consumer.close()
