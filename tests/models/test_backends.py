"""What runs the forward pass: each backend against the plain network, the CUDA one by its logic on a CPU."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models import hardware
from models.backends import Batch, Output, open_backend
from models.budget import measured_budget
from models.checkpoint import Checkpoint, read_checkpoint
from models.cuda import CudaBackend, bucket_for, buckets
from models.engine import Engine
from models.errors import CheckpointError, SettingsError
from models.graph import transformed
from models.network import Network
from models.settings import ModelsSettings
from models.torch_backend import TorchBackend


@pytest.fixture(scope="module")
def shipped() -> Checkpoint:
    return read_checkpoint(ModelsSettings().checkpoint)


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def expected(shipped: Checkpoint, batches: list[Batch]) -> list[Output]:
    return list(TorchBackend(Network(shipped), torch.float32).run(batches))


def furthest(found: list[Output], expected: list[Output]) -> float:
    """The largest difference of any probability."""
    assert len(found) == len(expected)
    return max(
        float(np.abs(ours - theirs).max())
        for one, other in zip(found, expected, strict=True)
        for ours, theirs in ((one.sentiment, other.sentiment), (one.topic, other.topic))
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.02)])
def test_a_backend_gives_every_batch_its_answer_in_order(
    shipped: Checkpoint,
    batches: list[Batch],
    expected: list[Output],
    backend: str,
    dtype: str,
    tolerance: float,
    threads: int,
) -> None:
    made = open_backend(shipped, ModelsSettings(device="cpu", backend=backend, dtype=dtype, threads=threads))  # type: ignore[arg-type]
    made.warm_up()
    assert (made.name, made.precision) == (backend, dtype)
    assert furthest(list(made.run(batches)), expected) <= tolerance
    assert furthest([next(iter(made.run([batch]))) for batch in batches], expected) <= tolerance
    assert list(made.run([])) == []


def test_openvino_goes_on_after_a_caller_that_stopped_half_way(
    shipped: Checkpoint, batches: list[Batch], expected: list[Output]
) -> None:
    backend = open_backend(shipped, ModelsSettings(device="cpu", backend="openvino", dtype="float32", threads=2))
    outputs = backend.run(batches)
    assert isinstance(outputs, Iterator)
    next(outputs)
    outputs.close()  # type: ignore[attr-defined]
    assert furthest(list(backend.run(batches)), expected) <= 1e-4


def test_a_worker_on_a_cpu_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    """And it reports its use to nobody: importing openvino alone would."""
    code = (
        "import sys\n"
        "from models.engine import Engine\n"
        "from models.settings import ModelsSettings\n"
        f"engine = Engine.load(ModelsSettings(device='cpu', cache_dir={str(tmp_path)!r}))\n"
        "engine.warm_up()\n"
        "assert engine.score(['Profit falls'])[0].topic\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys(), 'imported'\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')], 'reported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_converted_network_is_kept_and_found_again(shipped: Checkpoint, tmp_path: Path) -> None:
    settings = ModelsSettings(device="cpu", backend="openvino", cache_dir=tmp_path / "cache")
    open_backend(shipped, settings)
    (first,) = (tmp_path / "cache").glob("*/model.xml")
    written = first.stat().st_mtime_ns
    open_backend(shipped, settings)
    assert first.stat().st_mtime_ns == written
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    open_backend(shipped, settings.model_copy(update={"without": ("folded_scale",)}))
    assert len(list((tmp_path / "cache").glob("*/model.xml"))) == 2
    assert not list((tmp_path / "cache").glob("making-*"))


def test_a_cache_that_cannot_be_written_is_done_without(shipped: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = ModelsSettings(device="cpu", backend="openvino", cache_dir=tmp_path / "file" / "cache")
    assert next(iter(open_backend(shipped, settings).run([Batch(np.ones((1, 3), np.int64), np.array([3]))])))


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_a_transformation_that_is_not_there_is_one_line(shipped: Checkpoint, backend: str, tmp_path: Path) -> None:
    settings = ModelsSettings(device="cpu", backend=backend, without=("magic",), cache_dir=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no transformation 'magic'") as caught:
        open_backend(shipped, settings)
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_be_converted_is_one_line(
    shipped: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = tmp_path / "odd"
    served.mkdir()
    for file in shipped.folder.iterdir():
        (served / file.name).symlink_to(file)
    (served / "config.json").unlink()
    text = (shipped.folder / "config.json").read_text()
    (served / "config.json").write_text(text.replace('"gelu"', '"laplace"'))
    with pytest.raises(CheckpointError, match="'laplace' cannot be served") as caught:
        Engine.load(ModelsSettings(device="cpu", checkpoint=str(served), cache_dir=tmp_path))
    assert "\n" not in str(caught.value)


def test_openvino_is_refused_on_a_gpu(shipped: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.backends.find_device", lambda _: "cuda")
    with pytest.raises(SettingsError, match="openvino runs on a CPU: use auto or torch with device cuda"):
        open_backend(shipped, ModelsSettings(backend="openvino"))


def test_without_a_driver_no_gpu_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware, "_NVIDIA", (tmp_path / "none",))
    monkeypatch.setattr("models.devices.pick_device", lambda _: pytest.fail("torch was asked"))
    assert hardware.find_device("auto") == hardware.find_device("cpu") == "cpu"


@pytest.mark.parametrize(("content", "cores"), [("max 100000", 4), ("150000 100000", 2), ("20000 100000", 1), ("?", 4)])
def test_a_quota_bounds_the_cores(content: str, cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    (tmp_path / "cpu.max").write_text(content + "\n")
    monkeypatch.setattr(hardware, "_QUOTA", tmp_path / "cpu.max")
    assert hardware.usable_cores() == cores


# The token budget.


@pytest.mark.parametrize(
    ("rates", "budget"),
    [
        ({512: 90.0, 1024: 100.0, 2048: 101.0, 4096: 150.0}, 1024),
        ({512: 100.0, 1024: 99.0}, 512),
        ({512 << at: 10.0 * (at + 1) for at in range(7)}, 32_768),
    ],
)
def test_the_budget_is_doubled_as_long_as_that_pays(
    rates: dict[int, float], budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.budget._rate", lambda _backend, asked, _length: rates[asked])
    assert measured_budget(object(), 256) == budget  # type: ignore[arg-type]


def test_the_budget_is_measured_at_warm_up_and_a_given_one_is_kept(shipped: Checkpoint) -> None:
    measured = Engine.load(ModelsSettings(device="cpu"))
    assert measured.token_budget == 0
    measured.warm_up()
    assert measured.token_budget in {512 << at for at in range(7)}
    assert measured.score(["Profit falls"] * 3)
    given = Engine.load(ModelsSettings(device="cpu", token_budget=777))
    given.warm_up()
    assert given.token_budget == 777


def test_a_slow_machine_is_not_measured_for_long(shipped: Checkpoint) -> None:
    class Slow:
        name, precision, lanes = "slow", "float32", 1
        runs = 0

        def padded(self, length: int) -> int:
            return length

        def warm_up(self) -> None:
            pass

        def run(self, batches: object) -> Iterator[Output]:
            import time

            Slow.runs += 1
            time.sleep(0.25)
            return iter(())

    assert measured_budget(Slow(), 256) == 512
    assert Slow.runs == 2


# The CUDA backend, without CUDA.


class OnCpu:
    """Keeps the promises of an accelerator on a CPU: fixed buffers, a recorded pass, outputs that are overwritten."""

    def __init__(self) -> None:
        self.recorded = 0
        self.waited = 0

    def host(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype)

    device = host

    def captured(self, run: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> Callable[[], tuple[torch.Tensor, ...]]:
        self.recorded += 1
        outputs = run()

        def replay() -> tuple[torch.Tensor, ...]:
            for output, value in zip(outputs, run(), strict=True):
                output.copy_(value)
            return outputs

        return replay

    def mark(self) -> Callable[[], None]:
        def wait() -> None:
            self.waited += 1

        return wait


@pytest.fixture
def on_cpu(shipped: Checkpoint) -> tuple[CudaBackend, OnCpu]:
    accelerator = OnCpu()
    return CudaBackend(transformed(Network(shipped)), torch.float32, 256, 512, accelerator), accelerator  # type: ignore[arg-type]


def test_graphs_by_bucket_give_every_batch_its_answer_in_order(
    on_cpu: tuple[CudaBackend, OnCpu], batches: list[Batch], expected: list[Output]
) -> None:
    backend, accelerator = on_cpu
    fitting = [batch for batch in batches if batch.ids.size <= 512]
    wanted = [output for batch, output in zip(batches, expected, strict=True) if batch.ids.size <= 512]
    assert furthest(list(backend.run(fitting)), wanted) <= 1e-4
    recorded = accelerator.recorded
    assert furthest(list(backend.run(fitting[::-1])), wanted[::-1]) <= 1e-4
    assert accelerator.recorded == recorded
    assert accelerator.waited == 2 * len(fitting)


def test_the_next_batch_is_under_way_before_an_output_is_waited_for(
    on_cpu: tuple[CudaBackend, OnCpu], batches: list[Batch]
) -> None:
    backend, accelerator = on_cpu
    asked = []

    def watched() -> Iterator[Batch]:
        for _ in range(4):
            asked.append(accelerator.waited)
            yield batches[1]

    assert len(list(backend.run(watched()))) == 4
    assert asked == [0, 0, 0, 1]


def test_warming_up_records_every_bucket(shipped: Checkpoint) -> None:
    accelerator = OnCpu()
    small = CudaBackend(transformed(Network(shipped)), torch.float32, 24, 48, accelerator)  # type: ignore[arg-type]
    small.warm_up()
    assert accelerator.recorded == 2 * len(small.buckets)


def test_every_group_of_an_engine_fits_a_bucket() -> None:
    found = buckets(256, 1024)
    for length in range(1, 257):
        padded = min(bucket for _, bucket in found if bucket >= length)
        for rows in range(1, max(1, 1024 // padded) + 1):
            bucket = bucket_for(found, rows, padded)
            assert bucket[0] >= rows and bucket[1] >= length
    with pytest.raises(SettingsError, match="lower token_budget"):
        bucket_for(found, 1000, 256)


def test_an_engine_on_graphs_scores_as_one_on_torch(shipped: Checkpoint, on_cpu: tuple[CudaBackend, OnCpu]) -> None:
    settings = ModelsSettings(device="cpu", backend="torch", dtype="float32", cache_size=0, token_budget=512)
    texts = ["Profit falls", "存款无法取出", "", "Shares rise on strong demand " * 30] * 9
    texts = [f"{text} {at}" for at, text in enumerate(texts)]
    plain = Engine.load(settings).probabilities(texts)
    graphs = Engine(read_checkpoint(settings.checkpoint), on_cpu[0], settings).probabilities(texts)
    for ours, theirs in zip(graphs, plain, strict=True):
        assert np.abs(ours - theirs).max() < 1e-4
