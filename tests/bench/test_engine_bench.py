"""The benchmark of the engine: a whole small run in processes of their own, and that peers that fail do no harm."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.engine.measure import Plan
from bench.engine.peers import OURS, PEERS, PIPELINE, Peer, chosen, engine
from bench.engine.place import Place
from bench.engine.remote import Remote
from bench.engine.run import Request, run
from bench.engine.tables import remarks, tables
from bench.errors import BenchError, BenchUsage, RemoteFailure
from models.model import GPT2Monitor, MonitorConfig, save_monitor
from models.tokens import build_tokenizer
from tests.bench.broken_peers import BROKEN, WRONG

SHAPE = {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 96}
PLAN = Plan(rounds=1, starts=1, device="cpu", cores=1, pause=0.0)
EXPORTED = [PEERS[name] for name in ("onnxruntime fp32", "openvino") if not PEERS[name].missing("cpu")]


def ignored(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random classifier."""
    folder = tmp_path_factory.mktemp("bench") / "tiny"
    tokenizer = build_tokenizer(400, ["Plant fire halts output", "江州银行储户排队取款"] * 3)
    torch.manual_seed(5)
    save_monitor(GPT2Monitor(MonitorConfig(vocab_size=len(tokenizer), **SHAPE)), tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def document(checkpoint: Path) -> dict[str, Any]:
    """One round over 33 texts, so that one batch is a full one and one has a single row."""
    shape = {"vocab_size": 400, **SHAPE}
    request = Request(
        peers=[PEERS[PIPELINE], *EXPORTED, WRONG, *BROKEN],
        plan=PLAN, count=132, singles=2, models=("base",), checkpoint=checkpoint, base=shape,
    )  # fmt: skip
    return run(request, ignored)


def test_the_document_has_what_is_promised_and_is_json(document: dict[str, Any]) -> None:
    again = json.loads(json.dumps(document, allow_nan=False))
    assert {"base", "peers", "machine", "texts", "rounds"} <= set(again)
    assert {
        "docs_per_s", "tokens_per_s", "gflops", "single_ms", "peak_mb", "resident_mb", "ready_s", "precision",
        "ratio_pipeline", "ratio_best_peer", "best_peer", "label_agreement", "topic_agreement", "max_dp",
        "ceiling_gflops", "ceiling_share", "best_ceiling_share", "documents", "mean_tokens",
    } <= set(again["base"])  # fmt: skip
    assert again["base"]["documents"] == 33
    assert again["base"]["best_peer"] in again["peers"]["base"]
    assert again["base"]["ceiling_gflops"] > 0
    assert again["machine"]["cores"] >= 1


def test_what_answers_right_agrees_with_the_plain_pass_for_full_and_for_single_batches(
    document: dict[str, Any],
) -> None:
    exact = {PIPELINE, "onnxruntime fp32"} & set(document["peers"]["base"])
    for name in exact:
        figures = document["peers"]["base"][name]
        assert figures["label_agreement"] == 1.0
        assert figures["max_dp"] < 1e-4
    assert document["peers"]["base"][PIPELINE]["topic_agreement"] is None
    for figures in (document["base"], document["peers"]["base"].get("openvino", document["base"])):
        assert figures["max_dp"] < 0.1


def test_a_peer_whose_answers_are_wrong_shows_it(document: dict[str, Any]) -> None:
    wrong = document["peers"]["base"]["wrong"]
    negative = document["base"]["classes"]["sentiment"][0]
    assert wrong["label_agreement"] == pytest.approx(negative, abs=1e-3)
    assert wrong["label_agreement"] < 0.8
    assert wrong["max_dp"] > 0.5


def test_a_peer_that_cannot_run_is_told_with_its_reason_and_stops_nobody(document: dict[str, Any]) -> None:
    told = {name: figures.get("unavailable") for name, figures in document["peers"]["base"].items()}
    assert told["dying"] == "its process ended with code 132: Illegal instruction"
    assert told["failing"] == "MemoryError: no room for the batch"
    assert "no_such_runtime" in told["missing"]
    assert told["elsewhere"] == "does not run on cpu"
    assert told["wrong"] is None


def test_the_heads_of_the_base_model_spread_their_answers(document: dict[str, Any]) -> None:
    assert sorted(document["base"]["classes"]["sentiment"])[1] > 0.1
    assert sum(share > 0 for share in document["base"]["classes"]["topic"]) >= 6


def test_people_get_a_row_for_each_contender_and_a_reason_for_each_that_is_out(document: dict[str, Any]) -> None:
    (made,) = tables(document)
    assert made.row_count == 1 + len(document["peers"]["base"])
    said = "\n".join(remarks(document))
    assert "dying was not measured: its process ended" in said
    assert "of torch's plain products" in said


def test_an_engine_that_does_not_run_is_an_error_of_one_line(checkpoint: Path, tmp_path: Path) -> None:
    place = Place(checkpoint, tmp_path, "cpu", 1, 64)
    with pytest.raises(RemoteFailure, match="ValidationError"):
        Remote(engine(dtype="float8").load, place, log=tmp_path / "log")
    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
    (tmp_path / "tokenizer.json").write_text((checkpoint / "tokenizer.json").read_text())
    with pytest.raises(BenchError, match=r"^the plain pass in float32 does not run: CheckpointError: [^\n]+$"):
        run(Request(peers=[], plan=PLAN, count=4, singles=1, models=("shipped",), checkpoint=tmp_path), ignored)


def test_torch_compile_without_a_compiler_says_so(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RemoteFailure, match="needs a C\\+\\+ compiler, and there is no no-such-compiler"):
        Remote(PEERS["torch.compile"].load, Place(checkpoint, tmp_path, "cpu", 1, 64), log=tmp_path / "log")


def test_peers_are_chosen_by_name() -> None:
    assert [peer.name for peer in chosen("Sorted-bf16, torch-compile,pipeline")] == [
        "sorted bf16",
        "torch.compile",
        PIPELINE,
    ]
    assert chosen(None) == list(PEERS.values())
    assert OURS not in PEERS
    with pytest.raises(BenchUsage, match="no peer 'tensorrt': choose from pipeline, "):
        chosen("tensorrt")


def test_a_peer_tells_what_is_not_installed() -> None:
    assert Peer("x", "", WRONG.load, packages=("json", "no_such_a", "no_such_b")).missing("cpu") == (
        "not installed: no_such_a, no_such_b (pip install 'newsquake[bench]')"
    )
    assert find_spec("json")
