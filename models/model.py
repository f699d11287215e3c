"""`GPT2Monitor`: a GPT-2 trunk whose last real token feeds a sentiment head and a topic head.

The trunk is the decoder of Radford et al. (2019) as `transformers.GPT2Model`, without a language-model head. Texts are
padded on the right, so under the causal mask no real token ever sees padding and no attention mask is needed. Any GPT-2
of the hub or of a local folder can be the trunk, English or Chinese, with whatever tokenizer it brings.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, GPT2Config, GPT2Model, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from models.checkpoint import MODEL_TYPE, require_classes, require_vocabulary
from models.errors import CheckpointError
from models.labels import SENTIMENTS, TOPICS


class MonitorConfig(GPT2Config):  # type: ignore[misc]  # transformers is untyped here
    """GPT-2's configuration, the classes of both heads and the temperatures that calibrate them.

    A sentiment whose confidence is under `abstain_below` is not certain; 0 calls every answer certain.
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        sentiments: list[str] | None = None,
        topics: list[str] | None = None,
        sentiment_temperature: float = 1.0,
        topic_temperature: float = 1.0,
        abstain_below: float = 0.0,
        head_dropout: float = 0.1,
        **gpt2: Any,
    ) -> None:
        self.sentiments = list(sentiments or SENTIMENTS)
        self.topics = list(topics or TOPICS)
        self.sentiment_temperature = sentiment_temperature
        self.topic_temperature = topic_temperature
        self.abstain_below = abstain_below
        self.head_dropout = head_dropout
        # GPT2Model warns of padding without a mask when it knows the padding token; here padding is never looked at.
        super().__init__(**gpt2 | {"pad_token_id": None})


@dataclass(frozen=True, slots=True)
class MonitorOutput:
    """What one forward pass gives for a batch of n texts, before any temperature."""

    sentiment: Tensor
    """Logits, (n, 3)."""
    topic: Tensor
    """Logits, (n, topics)."""
    pooled: Tensor
    """State of each text's last real token after the final LayerNorm, (n, width)."""


class GPT2Monitor(PreTrainedModel):  # type: ignore[misc]  # transformers is untyped here
    """The classifier; `from_pretrained` and `save_pretrained` work as for any transformers model."""

    config_class = MonitorConfig
    base_model_prefix = "transformer"
    _supports_sdpa = True
    _no_split_modules = ("GPT2Block",)

    def __init__(self, config: MonitorConfig) -> None:
        super().__init__(config)
        self.transformer = GPT2Model(config)
        self.dropout = nn.Dropout(config.head_dropout)
        self.sentiment_head = nn.Linear(config.n_embd, len(config.sentiments))
        self.topic_head = nn.Linear(config.n_embd, len(config.topics))
        self.post_init()

    def forward(self, input_ids: Tensor, lengths: Tensor) -> MonitorOutput:
        """Score right-padded texts.

        Args:
            input_ids: token ids, (n, longest), padded on the right with anything.
            lengths: real tokens of each text, (n,), at least 1.
        """
        states = self.transformer(input_ids=input_ids, use_cache=False).last_hidden_state
        pooled = states[torch.arange(len(lengths), device=states.device), lengths - 1]
        dropped = self.dropout(pooled)
        return MonitorOutput(self.sentiment_head(dropped), self.topic_head(dropped), pooled)


AutoConfig.register(MODEL_TYPE, MonitorConfig)


def load_monitor(checkpoint: str) -> tuple[GPT2Monitor, PreTrainedTokenizerFast]:
    """Load a trained classifier and its tokenizer in float32, from a folder or the hub.

    Raises:
        CheckpointError: nothing is there, it is incomplete, or it is not a classifier of this project.
    """
    config = load_config(checkpoint)
    if config.model_type != MODEL_TYPE:
        raise CheckpointError(
            f"checkpoint {checkpoint!r} is a plain {config.model_type!r} model, not a trained classifier: "
            "fine-tune it first with `newsquake model train --base`"
        )
    require_classes(config.sentiments, config.topics, checkpoint)
    model, tokenizer = load_weights(GPT2Monitor, checkpoint), load_tokenizer(checkpoint)
    require_vocabulary(tokenizer.get_vocab(), config.vocab_size, checkpoint)
    return model, tokenizer


def save_monitor(model: GPT2Monitor, tokenizer: PreTrainedTokenizerFast, folder: Path, *, half: bool = False) -> None:
    """Write a checkpoint folder: config, safetensors and tokenizer; `half` stores the weights in float16.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    dtype = torch.float16 if half else torch.float32
    weights = {name: value.detach().to("cpu", dtype).contiguous() for name, value in model.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder, state_dict=weights)
        _name_dtype(folder / "config.json", dtype)
        _forget_calls(tokenizer)
        tokenizer.save_pretrained(folder)
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)  # half the size
    except OSError as error:
        raise CheckpointError(f"cannot write checkpoint {str(folder)!r}: {error.strerror or error}") from error


def pad_token_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the id to pad with: the tokenizer's own, else its end-of-text, else 0 (padding is never looked at)."""
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    return 0


def load_config(checkpoint: str) -> Any:
    """Return the configuration of whatever model is in a folder or on the hub.

    Raises:
        CheckpointError: there is none.
    """
    if Path(checkpoint).is_absolute() and not (Path(checkpoint) / "config.json").is_file():
        raise CheckpointError(f"no checkpoint in {checkpoint!r}: name a folder with config.json and model.safetensors")
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"no checkpoint {checkpoint!r}: name a folder with config.json and model.safetensors, or a hub model "
            "that this machine can reach"
        ) from error


def load_weights(kind: Any, checkpoint: str, *, pickled: bool = False) -> Any:
    """Return a model in float32, from safetensors or, where `pickled`, also from `pytorch_model.bin`.

    A `.bin` is read by torch's restricted unpickler, which runs no code of the file.

    Raises:
        CheckpointError: the weights are missing, damaged or of another shape.
    """
    safe = None if pickled else True
    try:
        with quiet_transformers():
            model, loaded = kind.from_pretrained(
                checkpoint, dtype=torch.float32, use_safetensors=safe, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError, UnpicklingError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"checkpoint {checkpoint!r} has no usable model.safetensors: {reason}") from error
    if missing := sorted(loaded["missing_keys"]):
        raise CheckpointError(f"checkpoint {checkpoint!r} lacks {len(missing)} of its weights, such as {missing[0]}")
    return model.eval()


def load_tokenizer(checkpoint: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a folder or hub model.

    Raises:
        CheckpointError: there is none, or none that runs in Rust.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"checkpoint {checkpoint!r} has no usable tokenizer: add its tokenizer.json") from error
    if not tokenizer.is_fast:
        raise CheckpointError(f"checkpoint {checkpoint!r} has a tokenizer in Python only: add its tokenizer.json")
    return tokenizer


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' reports of what it loads off the terminal; what matters of them is raised as an error."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def _forget_calls(tokenizer: PreTrainedTokenizerFast) -> None:
    """Drop what earlier calls left in the tokenizer, which would otherwise be saved as its settings."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    for name in ("is_local", "local_files_only", "max_length", "stride", "truncation_side", "truncation_strategy"):
        tokenizer.init_kwargs.pop(name, None)


def _name_dtype(path: Path, dtype: torch.dtype) -> None:
    config = json.loads(path.read_text())
    config["dtype"] = str(dtype).removeprefix("torch.")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
