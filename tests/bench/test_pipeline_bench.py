"""The benchmark of the pipeline: a whole small run on real servers, and that a worker that loses makes it fail."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, BenchUsage
from bench.pipeline.messages import SPAN, make_messages
from bench.pipeline.microbatches import micro_batches
from bench.pipeline.run import PARTS, Request, chosen, measure
from bench.pipeline.servers import KAFKA_HOME, BrokerKind, Servers
from bench.pipeline.tables import remarks, tables
from bench.pipeline.workers import CONSTANT
from pipeline.message import decode
from pipeline.microbatch import estimated_tokens
from pipeline.settings import PipelineSettings

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


LOSING = ("-m", "tests.bench.losing_worker")
ENDING = ("-m", "tests.bench.no_such_worker")
SMALL = Request(messages=300, broker=BrokerKind.TANSU, worker=CONSTANT, latency_s=1, warm_up_s=0.2, patience=2)


def ignored(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def runs(servers: Servers) -> Iterator[dict[str, Future[dict[str, Any]]]]:
    """Three hundred messages through each part, and through workers that are broken, at the same time."""
    skipped = {
        "engine": _without("engine-alone", "end-to-end"),
        "parts": _without("raw-consumer", "writer-alone"),
        "latency": _without("end-to-end", "latency"),
        "losing": _without("end-to-end"),
        "ending": _without("end-to-end"),
    }
    workers = {"losing": LOSING, "ending": ENDING}
    items = make_messages(None, SMALL.messages, datetime.now(UTC))
    with ThreadPoolExecutor(len(skipped)) as threads:
        yield {
            name: threads.submit(
                measure, servers, items, replace(SMALL, skip=skip, worker=workers.get(name, CONSTANT)), ignored
            )
            for name, skip in skipped.items()
        }


@pytest.fixture(scope="module")
def document(runs: dict[str, Future[dict[str, Any]]]) -> dict[str, Any]:
    """What a run of all parts but the plumbing tells."""
    latency = runs["latency"].result()
    measured = {"latency_ms": latency["latency_ms"], "measured_with": latency["end_to_end"]}
    return runs["parts"].result() | runs["engine"].result() | measured


def _without(*wanted: str) -> list[str]:
    return [part for part in PARTS if part not in wanted]


def test_the_document_has_what_is_promised_and_is_json(document: dict[str, Any]) -> None:
    again = json.loads(json.dumps(document, allow_nan=False))
    for part in ("end_to_end", "engine_alone", "raw_consumer", "writer_alone"):
        assert again[part]["docs_per_s"] > 0
    assert again["end_to_end"]["documents"] == again["messages"] == again["texts"]["distinct"] == 300
    assert again["end_to_end"]["batches"] >= 1
    assert set(again["end_to_end"]["cpu_s"]) == {"workers", "postgres", "broker"}
    rates = again["engine_alone"]["turns"]
    assert again["engine_alone"]["docs_per_s"] == pytest.approx(sum(rates) / 2)
    assert again["share_of_engine"] == pytest.approx(
        again["end_to_end"]["docs_per_s"] / again["engine_alone"]["docs_per_s"]
    )
    assert {"postgresql", "faust-streaming", "cpu", "cores"} <= set(again["machine"])
    assert (again["broker"], again["workers"]) == ("tansu", 1)


def test_every_message_that_was_published_evenly_has_a_latency(document: dict[str, Any]) -> None:
    latency = document["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    assert 100 < latency["messages"] < 300
    assert 0 < latency["rate_per_s"] <= document["measured_with"]["docs_per_s"] / 2 * 1.2


def test_people_get_a_row_for_each_part_and_each_goal(document: dict[str, Any]) -> None:
    parts, goals = tables(document)
    assert (parts.row_count, goals.row_count) == (4, 2)
    assert "publish to visible row" in remarks(document)[-1]


def test_a_worker_that_loses_documents_makes_the_run_fail(runs: dict[str, Future[dict[str, Any]]]) -> None:
    with pytest.raises(BenchError, match=r"^29\d of 300 messages are stored, and no more came in"):
        runs["losing"].result()


def test_a_worker_that_ends_makes_the_run_fail_with_its_last_words(runs: dict[str, Future[dict[str, Any]]]) -> None:
    with pytest.raises(BenchError, match=r"^worker 0 ended with code 1: .*no_such_worker"):
        runs["ending"].result()


def test_texts_are_different_and_messages_valid_even_where_the_source_is_small(tmp_path: Path) -> None:
    (tmp_path / "tweets.jsonl").write_text('{"text": "Plant fire halts output"}\n{"text": "Shares rise"}\n')
    (tmp_path / "wire.jsonl").write_text('{"text": "央行下调利率"}\n')
    items = make_messages(tmp_path, 9, NOW)
    assert len({item.message.text for item in items}) == len({item.message.id for item in items}) == len(items) == 9
    assert [item.stream for item in items] == ["news", "comment"] * 4 + ["news"]
    assert all(("央行" in item.message.text) == (item.stream == "news") for item in items)
    times = [decode(item.value, now=NOW).published_at for item in items]
    assert times == sorted(times)
    assert times[0] == NOW - SPAN
    assert times[-1] < NOW


def test_a_source_of_one_kind_fills_both_streams(tmp_path: Path) -> None:
    (tmp_path / "wire.jsonl").write_text("".join(f'{{"text": "headline {number}"}}\n' for number in range(4)))
    items = make_messages(tmp_path, 4, NOW)
    assert {item.stream for item in items} == {"news", "comment"}
    assert {item.message.text for item in items} == {f"headline {number}" for number in range(4)}
    with pytest.raises(BenchUsage, match="no texts"):
        (tmp_path / "wire.jsonl").write_text("")
        make_messages(tmp_path, 4, NOW)


def test_the_engine_alone_gets_every_text_once_in_batches_that_a_worker_would_make() -> None:
    settings = PipelineSettings(token_budget=512, batch_size=20)
    items = make_messages(None, 500, NOW)
    batches = micro_batches(items, settings)
    assert sorted(text for batch in batches for text in batch) == sorted(item.message.text for item in items)
    cost = {item.message.text: estimated_tokens(item.value) for item in items}
    assert all(len(batch) <= 20 and sum(cost[text] for text in batch) <= 512 for batch in batches)
    assert len(batches) < 2 * max(500 / 20, sum(cost.values()) / 512)


def test_parts_are_left_out_by_name() -> None:
    assert chosen("Engine_alone, latency") == ["engine-alone", "latency"]
    assert chosen(None) == []
    with pytest.raises(BenchUsage, match="no part 'database': choose from raw-consumer, "):
        chosen("database")
    with pytest.raises(BenchUsage, match="skip it as well"):
        chosen("end-to-end")


def test_apache_kafka_without_its_home_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KAFKA_HOME, raising=False)
    with pytest.raises(BenchUsage, match=KAFKA_HOME):
        Servers(tmp_path, BrokerKind.KAFKA)
    assert timedelta(hours=1) < SPAN < timedelta(days=1)
