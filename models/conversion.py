"""Convert a checkpoint's transformed network for OpenVINO, once: in a process of its own, kept in a cache folder.

The process needs torch to trace the network; the worker that starts it does not, and stays small. An entry's name is a
digest of all that decides its content, so none is ever stale; the least recently used go when there are too many.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from models.checkpoint import Checkpoint, read_checkpoint
from models.errors import CheckpointError, ModelError, SettingsError

_KEPT = 4
"""Entries; one takes as much room as its checkpoint."""
_SOURCES = ("network.py", "graph.py", "conversion.py")
_WITHIN = 600.0
"""Seconds that a conversion may take."""


@contextlib.contextmanager
def converted(checkpoint: Checkpoint, without: Sequence[str], cache: Path) -> Iterator[Path]:
    """Give the converted network's path, from the cache or made now; without a writable cache it lives until the end.

    Raises:
        SettingsError: a transformation to leave out is unknown.
        CheckpointError: the network cannot be served.
    """
    entry = cache / _key(checkpoint, without)
    if not (entry / "model.xml").is_file():
        try:
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            _add(checkpoint, without, entry)
        except OSError:
            with tempfile.TemporaryDirectory(prefix="newsquake-") as made:
                yield _convert_apart(checkpoint, without, Path(made))
            return
    with contextlib.suppress(OSError):
        os.utime(entry)
    yield entry / "model.xml"


def convert(name: str, without: Sequence[str], folder: Path) -> None:
    """Trace the checkpoint's transformed network, and write it to the folder as `model.xml` and `model.bin`.

    Raises:
        ModelError: a transformation to leave out is unknown, or the network cannot be served.
    """
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from models.graph import transformed
    from models.network import Network

    checkpoint = read_checkpoint(name)
    network = transformed(Network(checkpoint), without)
    example = torch.ones(3, 7, dtype=torch.long), torch.tensor([7, 5, 3])
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that what depends on shapes is traced: shapes stay symbolic here
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=example)  # must outlive the conversion
    model = frontend.convert(frontend.load(decoder))
    for place, shape in zip(model.inputs, ([-1, -1], [-1]), strict=True):
        place.get_node().set_partial_shape(openvino.PartialShape(shape))
    model.validate_nodes_and_infer_types()
    # Rounding twice, to float16 and then to bfloat16, would show in the answers.
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)


def _key(checkpoint: Checkpoint, without: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr([checkpoint.model_id, checkpoint.config, sorted(without), version("openvino")]).encode())
    for source in _SOURCES:
        digest.update((Path(__file__).parent / source).read_bytes())
    return digest.hexdigest()


def _add(checkpoint: Checkpoint, without: Sequence[str], entry: Path) -> None:
    """Make an entry beside its place and move it there whole; another process may have been faster."""
    with tempfile.TemporaryDirectory(prefix="making-", dir=entry.parent) as made:
        inner = Path(made) / entry.name
        inner.mkdir()
        _convert_apart(checkpoint, without, inner)
        with contextlib.suppress(OSError):
            inner.rename(entry)
        if not (entry / "model.xml").is_file():
            raise OSError(f"cannot write {entry}")
    entries = sorted(entry.parent.glob("*/model.xml"), key=lambda path: path.parent.stat().st_mtime)
    for old in entries[:-_KEPT]:
        shutil.rmtree(old.parent, ignore_errors=True)


def _convert_apart(checkpoint: Checkpoint, without: Sequence[str], folder: Path) -> Path:
    command = [sys.executable, "-m", __name__, str(checkpoint.folder), str(folder), *without]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN, check=False)
    except subprocess.TimeoutExpired as error:
        raise CheckpointError(f"checkpoint {checkpoint.name!r} was not converted in {_WITHIN:.0f} seconds") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        kind = SettingsError if done.returncode == _WRONG_SETTING else CheckpointError
        raise kind(last if done.returncode in _TOLD else f"checkpoint {checkpoint.name!r} cannot be converted: {last}")
    return folder / "model.xml"


_WRONG_SETTING, _WRONG_CHECKPOINT = 2, 3
_TOLD = (_WRONG_SETTING, _WRONG_CHECKPOINT)


def _main(name: str, folder: str, *without: str) -> int:
    try:
        convert(name, without, Path(folder))
    except ModelError as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG_SETTING if isinstance(error, SettingsError) else _WRONG_CHECKPOINT
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
