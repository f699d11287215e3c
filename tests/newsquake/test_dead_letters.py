"""`newsquake dead-letters` as people and scripts meet it."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaProducer

from pipeline.dead_letters import DeadLetter
from pipeline.reasons import Reason
from pipeline.settings import PipelineSettings
from pipeline.topics import create_topics
from tests.newsquake.test_cli import assert_refused, newsquake, nobody

RISEN = json.dumps(
    {"id": "17", "source": "wire", "published_at": "2026-03-10T12:00:00Z", "text": "Profit rose."}
).encode()
EVIL = b'{"id":"[red]\\u001b[31m","source":"s' + b"\xff" + b'\x1b]0;title\x07"}'


@pytest.fixture
def env(broker: str, topic_names: Callable[[str], str]) -> dict[str, str]:
    """Topics of the test's own with three letters: one that can be replayed, two copies of one, one that is evil."""
    settings = PipelineSettings(
        broker=broker,
        news_topic=topic_names("news"),
        comments_topic=topic_names("comments"),
        dead_letter_topic=topic_names("dead-letters"),
    )
    create_topics(settings)
    evil = DeadLetter(Reason.NOT_UTF8, "not \x1b[31mUTF-8 [bold]", settings.news_topic, 0, 6, b"\x00k", EVIL, "0@99")
    letters = [
        DeadLetter(Reason.CLASSIFIER, "the classifier failed", settings.news_topic, 3, 41, b"wire", RISEN),
        evil,
        evil,
        DeadLetter(Reason.TOMBSTONE, "empty value (a tombstone)", settings.comments_topic, 1, 2, b"k", None),
    ]
    producer = KafkaProducer(bootstrap_servers=broker, acks="all")
    for letter in letters:
        producer.send(
            settings.dead_letter_topic, key=letter.key, value=letter.value, headers=list(letter.headers.items())
        )
    producer.flush()
    producer.close()
    return {
        "NEWSQUAKE_PIPELINE_BROKER": broker,
        "NEWSQUAKE_PIPELINE_NEWS_TOPIC": settings.news_topic,
        "NEWSQUAKE_PIPELINE_COMMENTS_TOPIC": settings.comments_topic,
        "NEWSQUAKE_PIPELINE_DEAD_LETTER_TOPIC": settings.dead_letter_topic,
    }


def dead_letters(env: dict[str, str], *arguments: str) -> str:
    done = newsquake("dead-letters", *arguments, **env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_list_shows_each_letter_once_and_counts_by_reason(env: dict[str, str]) -> None:
    table = dead_letters(env, "list")
    assert "3 dead letters (1 classifier, 1 not-utf8, 1 tombstone), 0 replayed" in table
    assert f"{env['NEWSQUAKE_PIPELINE_NEWS_TOPIC']}/3@41" in table
    assert "\x1b" not in table
    listed = json.loads(dead_letters(env, "list", "--json"))
    assert (listed["total"], listed["by_reason"]) == (3, {"classifier": 1, "not-utf8": 1, "tombstone": 1})
    first, evil, _ = listed["letters"]
    assert (first["offset"], first["source"], first["id"], first["topic_offset"]) == (0, "wire", "17", 41)
    assert (evil["copies"], evil["replay_of"], evil["source"], evil["replayed"]) == (2, "0@99", None, False)


def test_the_list_can_be_narrowed(env: dict[str, str]) -> None:
    def listed(*options: str) -> list[int]:
        return [letter["offset"] for letter in json.loads(dead_letters(env, "list", "--json", *options))["letters"]]

    assert listed("--reason", "classifier") == [0]
    assert listed("--topic", env["NEWSQUAKE_PIPELINE_COMMENTS_TOPIC"]) == [3]
    assert (listed("--since", "1h"), listed("--since", "2099-01-01")) == ([0, 1, 3], [])
    assert (listed("--limit", "1"), listed("--limit", "0")) == ([3], [])


def test_one_letter_is_shown_with_headers_and_bytes_that_cannot_style_the_terminal(
    env: dict[str, str], tmp_path: Path
) -> None:
    shown = dead_letters(env, "show", "1")
    assert "\x1b" not in shown and "\x07" not in shown
    for part in ("not-utf8: The value is not UTF-8.", "header     partition = 0", "\\xff\\x1b]0;title\\x07", "\\x00k"):
        assert part in shown
    as_json = json.loads(dead_letters(env, "show", "1", "--json"))
    assert (as_json["value"], base64.b64decode(as_json["value_base64"])) == (None, EVIL)
    assert json.loads(dead_letters(env, "show", "0", "--json"))["value"] == RISEN.decode()
    assert "–" in dead_letters(env, "show", "3")
    dead_letters(env, "show", "1", "--raw", str(tmp_path / "value"))
    assert (tmp_path / "value").read_bytes() == EVIL
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEWSQUAKE_")} | env
    own["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "newsquake", "dead-letters", "show", "1", "--raw", "-"]
    assert subprocess.run(command, env=own, capture_output=True, check=True).stdout == EVIL


def test_a_replay_sends_what_is_valid_once_and_says_what_it_left(env: dict[str, str]) -> None:
    counts = {"still_invalid": 2, "elsewhere": 0, "failed": 0, "left": 0, "failures": [], "stopped": False}
    dry = json.loads(dead_letters(env, "replay", "--dry-run", "--json"))
    assert dry == {"sent": 1, "dry_run": True, "replayed_before": 0, **counts}
    first = dead_letters(env, "replay")
    assert first.splitlines() == ["1 sent back", "2 still invalid in this release, left where they are"]
    again = json.loads(dead_letters(env, "replay", "--json"))
    assert again == {"sent": 0, "dry_run": False, "replayed_before": 1, **counts}
    assert json.loads(dead_letters(env, "list", "--json"))["replayed"] == 1
    chosen = json.loads(dead_letters(env, "replay", "--offset", "0", "--offset", "2", "--json"))
    assert (chosen["sent"], chosen["still_invalid"]) == (1, 1)
    everything = json.loads(dead_letters(env, "replay", "--all", "--reason", "classifier", "--json"))
    assert (everything["sent"], everything["still_invalid"]) == (1, 0)


def test_mistakes_are_one_line_and_exit_code_2(env: dict[str, str], tmp_path: Path) -> None:
    for command in (["list"], ["show", "0"], ["replay"]):
        assert_refused(
            newsquake("dead-letters", *command, NEWSQUAKE_PIPELINE_BROKER=nobody()), "no Kafka broker answers"
        )
    absent = env | {"NEWSQUAKE_PIPELINE_DEAD_LETTER_TOPIC": f"{env['NEWSQUAKE_PIPELINE_NEWS_TOPIC']}.absent"}
    for command in (["list"], ["show", "0"], ["replay"]):
        assert_refused(newsquake("dead-letters", *command, **absent), "newsquake topics create")
    assert_refused(newsquake("dead-letters", "show", "99", **env), "offset 99")
    assert_refused(newsquake("dead-letters", "replay", "--offset", "0", "--offset", "99", **env), "offset 99")
    done = newsquake("dead-letters", "show", "0", "--raw", str(tmp_path), **env)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    for wrong in (["list", "--reason", "nonsense"], ["list", "--since", "yesterday"], ["show", "x"]):
        assert newsquake("dead-letters", *wrong, **env).returncode == 2
