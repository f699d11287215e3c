"""Nothing lost, nothing twice: real worker processes, killed and cut off, and then everything is counted.

Each check is first shown to catch a worker that is wrong (`naive_worker.py`).
"""

import json
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from pipeline.settings import PipelineSettings
from tests.integration.conftest import HeaderNoUtf8, Workers, count, eventually, produce, read_all
from tests.pipeline.test_message import MALFORMED
from tests.storage.rows import recount, rollups

NAIVE = str(Path(__file__).with_name("naive_worker.py"))
SAYINGS = (
    "Profit rose {n} percent on strong demand",
    "Customers queue at branch {n} to withdraw deposits",
    "公司第{n}季度净利润同比下降",
    "The board meets on day {n} of the month",
)


def messages(topic: str, number: int, *, start: int = 0) -> list[tuple[str, bytes]]:
    """`number` messages, the ids from `start` on, a second of event time apart."""
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
    return [
        (
            topic,
            json.dumps(
                {
                    "id": str(n),
                    "source": f"wire-{n % 5}",
                    "published_at": (first + timedelta(seconds=n)).isoformat(),
                    "text": SAYINGS[n % 4].format(n=n),
                }
            ).encode(),
        )
        for n in range(start, start + number)
    ]


def ids(database: Engine) -> list[int]:
    """Stored ids in order, each as often as it is stored."""
    with database.connect() as connection:
        return sorted(int(row) for row in connection.execute(text("SELECT id FROM documents")).scalars())


def test_every_message_is_stored_once_though_the_worker_is_killed_three_times(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    total = 6_000
    produce(pipeline, messages(pipeline.news_topic, total // 2))
    produce(pipeline, messages(pipeline.comments_topic, total // 2, start=total // 2))
    for share in (0.1, 0.4, 0.7):
        process = workers.start()
        eventually(lambda share=share: count(database) >= total * share, within=90, what=f"{share:.0%} stored")
        process.send_signal(signal.SIGKILL)
        process.wait()
    workers.start()
    eventually(lambda: count(database) >= total, within=90, what="everything stored")
    assert ids(database) == list(range(total))
    assert rollups(database) == recount(database)


def test_sigterm_ends_the_worker_in_ten_seconds_and_the_next_one_goes_on(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    produce(pipeline, messages(pipeline.news_topic, 3_000))
    process = workers.start()
    eventually(lambda: count(database) > 100, within=90, what="work under way")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert time.monotonic() - began < 10
    workers.start()
    eventually(lambda: count(database) >= 3_000, within=90, what="everything stored")
    assert ids(database) == list(range(3_000))
    assert rollups(database) == recount(database)
    assert "messages_lost" not in workers.log and "offsets_moved" not in workers.log, "nothing unusual happened"


def test_every_malformed_message_becomes_a_dead_letter_and_stops_nobody(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    bad = [value for name, (value, _) in MALFORMED.items() if name != "25 h ahead"]  # of the clock in that test
    good = messages(pipeline.news_topic, 200)
    mixed: list[tuple[str, bytes | None]] = []
    for number, message in enumerate(good):
        mixed.append(message)
        if number < len(bad):
            mixed.append((pipeline.news_topic, bad[number]))
    produce(pipeline, mixed[:50])
    produce(pipeline, mixed[50:], headers=[(HeaderNoUtf8("odd"), b"")])
    workers.start()
    eventually(lambda: count(database) >= len(good), within=90, what="the good ones stored")
    eventually(
        lambda: len(read_all(pipeline, pipeline.dead_letter_topic)) >= len(bad), within=30, what="all dead letters"
    )
    letters = read_all(pipeline, pipeline.dead_letter_topic)
    assert {value for value, _ in letters} == set(bad) and len(letters) == len(bad)
    for value, headers in letters:
        reason = next(reason for raw, reason in MALFORMED.values() if raw == value)
        assert reason.split()[-1].strip("`") in headers["error"]
        assert headers["topic"] == pipeline.news_topic
        assert headers["partition"].isdigit() and headers["offset"].isdigit()
    assert ids(database) == list(range(200))


def test_two_workers_share_the_partitions_and_one_may_leave(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    produce(pipeline, messages(pipeline.news_topic, 1_500))
    leaving = workers.start()
    workers.start()
    eventually(lambda: count(database) > 200, within=90, what="work under way")
    leaving.send_signal(signal.SIGKILL)
    produce(pipeline, messages(pipeline.comments_topic, 1_500, start=1_500))
    eventually(lambda: count(database) >= 3_000, within=90, what="everything stored")
    assert ids(database) == list(range(3_000))
    assert rollups(database) == recount(database)


def test_event_time_is_known_for_every_partition_before_the_first_batch(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    produce(pipeline, messages(pipeline.news_topic, 500))
    workers.start()
    eventually(lambda: count(database) > 0, within=90, what="a first batch")
    assert count(database, "stream_progress") == 2 * pipeline.partitions
    eventually(lambda: count(database) == 500, within=60, what="everything stored")
    behind = text("SELECT count(*) FROM stream_progress WHERE next_offset < end_offset")

    def caught_up() -> bool:
        with database.connect() as connection:
            return connection.execute(behind).scalar_one() == 0

    eventually(caught_up, within=30, what="no backlog reported")


@pytest.mark.parametrize("mistake", ["take", "early"])
def test_the_count_catches_a_worker_that_acknowledges_what_it_has_not_stored(
    workers: Workers, pipeline: PipelineSettings, database: Engine, mistake: str
) -> None:
    """Red control: with this worker in place of the real one, the tests above must fail."""
    total = 2_000
    produce(pipeline, messages(pipeline.news_topic, total))
    process = workers.start(NAIVE, mistake)
    eventually(lambda: count(database) >= 3 * 64, within=60, what="some stored")
    time.sleep(2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    workers.start(NAIVE, "none")
    produce(pipeline, messages(pipeline.news_topic, 1, start=total))
    eventually(lambda: total in ids(database), within=60, what="the last message stored")
    assert set(range(total)) - set(ids(database))


def test_the_recount_catches_a_worker_that_counts_deliveries(
    workers: Workers, pipeline: PipelineSettings, database: Engine
) -> None:
    """Red control: rollups outside the transaction differ from the recount after a redelivery."""
    batch = messages(pipeline.news_topic, 200)
    produce(pipeline, [*batch, *batch])
    workers.start(NAIVE, "rollups")
    eventually(lambda: count(database) >= 200, within=60, what="everything stored")
    eventually(lambda: rollups(database) != recount(database), within=30, what="the rollups off")
