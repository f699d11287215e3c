"""What runs the forward pass on a CPU: each backend against the plain network; conversion, cache and token budget."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models import hardware
from models.backends import Batch, Output, open_backend
from models.budget import measured_budget
from models.checkpoint import Checkpoint
from models.engine import Engine
from models.errors import CheckpointError, SettingsError
from models.settings import ModelsSettings
from tests.models.outputs import furthest


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


def test_a_network_that_cannot_be_converted_is_one_line(shipped: Checkpoint, tmp_path: Path) -> None:
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
    monkeypatch.setattr(hardware, "_GPU_DRIVERS", (tmp_path / "none",))
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
