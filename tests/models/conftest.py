"""Rows, tiny random classifiers and the shipped engine, shared by the tests of `models`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from models.backends import Batch, Output
from models.checkpoint import Checkpoint, read_checkpoint
from models.engine import Engine
from models.model import GPT2Monitor, MonitorConfig
from models.network import Network
from models.rows import Row
from models.settings import ModelsSettings
from models.tokens import build_tokenizer
from models.torch_backend import TorchBackend

SENTENCES = (
    ("Plant fire halts output at Alder Foods", 0, 2, "en"),
    ("Savers queue as Halden Bank caps withdrawals", 0, 7, "en"),
    ("Alder Foods sets date for annual meeting", 1, 2, "en"),
    ("Central bank leaves its rate where it was", 1, 1, "en"),
    ("Orvion profit doubles and guidance goes up", 2, 7, "en"),
    ("Orvion shares leap on record orders", 2, 19, "en"),
    ("海川股份净利大幅下滑", 0, 7, "zh"),
    ("江州银行储户排队取款", 0, 7, "zh"),
    ("央行今日未开展操作", 1, 1, "zh"),
    ("瑞德科技净利翻倍", 2, 7, "zh"),
    ("云帆医药股价涨停", 2, 19, "zh"),
    ("鼎宏集团召开股东大会", 1, 2, "zh"),
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny matrices lose more to waiting for other threads than they gain."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    """Sixty rows in two languages, every one with both labels."""
    return [Row(f"{text} {number}", *labels) for number in range(5) for text, *labels in SENTENCES]


@pytest.fixture(scope="session")
def tokenizer(rows: list[Row]) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of a few hundred tokens."""
    return build_tokenizer(400, [row.text for row in rows])


@pytest.fixture(scope="session")
def new_model(tokenizer: PreTrainedTokenizerFast) -> Callable[[], GPT2Monitor]:
    """Make the same tiny random classifier each time it is called."""

    def make() -> GPT2Monitor:
        torch.manual_seed(3)
        shape = {"n_layer": 3, "n_embd": 32, "n_head": 4, "n_positions": 64}
        dropout = {"resid_pdrop": 0.1, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        return GPT2Monitor(MonitorConfig(vocab_size=len(tokenizer), **shape, **dropout))

    return make


@pytest.fixture(scope="session")
def shipped_engine() -> Engine:
    """The checkpoint that the package ships, as a worker loads it."""
    return Engine.load(ModelsSettings())


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[[str], Path]:
    """Write a file of the given lines."""

    def write(content: str, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def shipped() -> Checkpoint:
    """The shipped checkpoint, read and checked."""
    return read_checkpoint(ModelsSettings().checkpoint)


@pytest.fixture(scope="session")
def batches() -> list[Batch]:
    """Batches of many shapes, one of them again with other texts."""
    rng = np.random.default_rng(1)
    shapes = [(1, 3), (4, 17), (9, 30), (1, 256), (4, 17), (2, 1), (30, 24)]
    made = []
    for rows, longest in shapes:
        lengths = rng.integers(1, longest + 1, rows)
        lengths[-1] = longest
        made.append(Batch(rng.integers(4, 20_000, (rows, longest)), lengths))
    return made


@pytest.fixture(scope="session")
def expected(shipped: Checkpoint, batches: list[Batch]) -> list[Output]:
    """What the network as written answers to `batches` in float32."""
    return list(TorchBackend(Network(shipped), torch.float32).run(batches))
