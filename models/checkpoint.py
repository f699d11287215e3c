"""Read a trained classifier for inference: configuration, weights and tokenizer, without torch and transformers.

Importing those two takes about three seconds and 350 MB, which a worker on a CPU saves; training uses
`models/model.py`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from models.errors import CheckpointError, DataError
from models.labels import SENTIMENTS, TOPICS, topic_name

MODEL_TYPE = "newsquake_gpt2"
_FILES = ["config.json", "*.safetensors", "model.safetensors.index.json", "tokenizer.json"]


class NetworkConfig(msgspec.Struct, frozen=True):
    """What the forward pass depends on besides weights; names and defaults are GPT-2's (`transformers.GPT2Config`)."""

    model_type: str
    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    sentiments: tuple[str, ...] = SENTIMENTS
    topics: tuple[str, ...] = TOPICS
    sentiment_temperature: float = 1.0
    topic_temperature: float = 1.0
    abstain_below: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained classifier as it lies in its folder."""

    name: str
    folder: Path
    config: NetworkConfig
    tokenizer: Tokenizer
    model_id: str
    """The folder's name and eight hexadecimal digits over what decides the scores: weights, settings, tokenizer."""

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Read the weights, by their names in `GPT2Monitor`.

        Raises:
            CheckpointError: they have become unreadable.
        """
        return {key: _single(value) for key, value in _weights(self.folder, self.name)}


def read_checkpoint(name: str) -> Checkpoint:
    """Read a folder, or a model of the hub; its weights are checked but not kept.

    Raises:
        CheckpointError: nothing is there, it is incomplete or damaged, or it is not a classifier of this project.
    """
    folder = _folder(name)
    config = _config(folder, name)
    require_classes(config.sentiments, config.topics, name)
    scoring = msgspec.json.encode(msgspec.structs.replace(config, abstain_below=0.0))  # which is judged afterwards
    digest, shapes = hashlib.blake2b(scoring, digest_size=4), {}
    for key, value in _weights(folder, name):
        shapes[key] = value.shape
        digest.update(key.encode())
        digest.update(_single(value).tobytes())
    require_shapes(config, shapes, name)
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        digest.update((folder / "tokenizer.json").read_bytes())
    except Exception as error:  # the Rust library raises nothing narrower
        raise CheckpointError(f"checkpoint {name!r} has no usable tokenizer: add its tokenizer.json") from error
    require_vocabulary(tokenizer.get_vocab(), config.vocab_size, name)
    return Checkpoint(name, folder, config, tokenizer, f"{Path(name).name}-{digest.hexdigest()}")


def require_classes(sentiments: Sequence[str], topics: Sequence[str], checkpoint: str) -> None:
    """Refuse a classifier whose sentiments are not the three, or whose topics cannot be stored.

    Raises:
        CheckpointError: it is one of these.
    """
    if tuple(sentiments) != SENTIMENTS:
        raise CheckpointError(f"checkpoint {checkpoint!r} was trained for other sentiments: train it again")
    try:
        names = [topic_name(name) for name in topics]
    except DataError as error:
        raise CheckpointError(f"checkpoint {checkpoint!r}: {error}") from error
    if len({name.casefold() for name in names}) < len(names):
        raise CheckpointError(f"checkpoint {checkpoint!r} names a topic twice: train it again")


def require_vocabulary(vocabulary: dict[str, int], embedded: int, checkpoint: str) -> None:
    """Refuse a tokenizer with ids beyond the `embedded` ones, which would break on the first text that has them.

    Raises:
        CheckpointError: it is one of these.
    """
    highest = max(vocabulary.values(), default=-1)
    if highest >= embedded:
        raise CheckpointError(
            f"checkpoint {checkpoint!r}: its tokenizer has ids up to {highest} and its embedding {embedded} rows: "
            "they do not belong together, copy the tokenizer that the model was trained with"
        )


def require_shapes(config: NetworkConfig, found: Mapping[str, tuple[int, ...]], checkpoint: str) -> None:
    """Refuse weights that are not all there or of another shape than the configuration says.

    Raises:
        CheckpointError: they are.
    """
    shapes = weight_shapes(config)
    if missing := sorted(shapes.keys() - found.keys()):
        raise CheckpointError(f"checkpoint {checkpoint!r} lacks {len(missing)} of its weights, such as {missing[0]}")
    for name, shape in shapes.items():
        if found[name] != shape:
            raise CheckpointError(
                f"checkpoint {checkpoint!r} has no usable model.safetensors: {name} is {found[name]}, "
                f"config.json says {shape}"
            )


def weight_shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight that inference reads, by its name in `GPT2Monitor`."""
    width, inner = config.n_embd, config.n_inner or 4 * config.n_embd
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (config.vocab_size, width),
        "transformer.wpe.weight": (config.n_positions, width),
    }
    parts = {"attn.c_attn": (width, 3 * width), "attn.c_proj": (width, width), "mlp.c_fc": (width, inner)}
    parts["mlp.c_proj"] = (inner, width)
    norms = [f"transformer.h.{layer}.{norm}" for layer in range(config.n_layer) for norm in ("ln_1", "ln_2")]
    for norm in [*norms, "transformer.ln_f"]:
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for layer in range(config.n_layer):
        for part, shape in parts.items():
            shapes |= {f"transformer.h.{layer}.{part}.weight": shape, f"transformer.h.{layer}.{part}.bias": shape[1:]}
    for head, classes in (("sentiment_head", len(config.sentiments)), ("topic_head", len(config.topics))):
        shapes |= {f"{head}.weight": (classes, width), f"{head}.bias": (classes,)}
    return shapes


def _folder(name: str) -> Path:
    folder = Path(name)
    if (folder / "config.json").is_file():
        return folder
    told = f"no checkpoint {'in ' if folder.is_absolute() else ''}{name!r}: name a folder with config.json and "
    if folder.is_absolute() or folder.exists():
        raise CheckpointError(told + "model.safetensors")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES))
    except Exception as error:  # unreachable, unknown, malformed: the library raises a dozen kinds
        raise CheckpointError(told + "model.safetensors, or a hub model that this machine can reach") from error


def _config(folder: Path, name: str) -> NetworkConfig:
    try:
        config = msgspec.json.decode((folder / "config.json").read_bytes(), type=NetworkConfig)
    except (OSError, msgspec.DecodeError) as error:
        raise CheckpointError(f"checkpoint {name!r} has no usable config.json: {error}") from error
    if config.model_type != MODEL_TYPE:
        raise CheckpointError(
            f"checkpoint {name!r} is a plain {config.model_type!r} model, not a trained classifier: "
            "fine-tune it first with `newsquake model train --base`"
        )
    return config


def _single(value: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(value, np.float32)


def _weights(folder: Path, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give the weights in the order of their names, in the precision that they are stored in."""
    files = sorted(folder.glob("model*.safetensors"))
    try:
        if not files:
            raise FileNotFoundError("it is not there")
        stored: list[Any] = [safe_open(file, framework="numpy") for file in files]
        places = {key: file for file in stored for key in file.keys()}
        for key in sorted(places):
            yield key, places[key].get_tensor(key)
    except (OSError, SafetensorError, TypeError) as error:  # TypeError: a precision that numpy does not have
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"checkpoint {name!r} has no usable model.safetensors: {reason}") from error
