"""What training starts from: a trained classifier, or any GPT-2 in transformers' format with two fresh heads.

Whatever a published GPT-2 does in its own way is turned here, once, into what the plain pass and the engine compute:
attention scales of its own are folded into the query weights, and added tokens get rows in the embedding.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BertTokenizerFast, GPT2Model, PreTrainedTokenizerFast

from models.checkpoint import MODEL_TYPE, require_classes, require_vocabulary
from models.errors import CheckpointError
from models.labels import TOPICS
from models.model import (
    GPT2Monitor,
    MonitorConfig,
    load_config,
    load_monitor,
    load_tokenizer,
    load_weights,
    quiet_transformers,
)

_NOT_THE_TRUNK = ("model_type", "architectures", "dtype", "id2label", "label2id", "task_specific_params")
_PROBE = "Profit 利润"


def base_topics(checkpoint: str) -> tuple[str, ...]:
    """Return the topics that a base was trained for; a bare GPT-2 is to learn the twenty of this project.

    Raises:
        CheckpointError: nothing is there, or its classes cannot be used.
    """
    config = load_config(checkpoint)
    if config.model_type != MODEL_TYPE:
        return TOPICS
    require_classes(config.sentiments, config.topics, checkpoint)
    return tuple(config.topics)


def load_base(checkpoint: str) -> tuple[GPT2Monitor, PreTrainedTokenizerFast]:
    """Load a trained classifier, or a bare GPT-2 that gets two fresh heads, with its tokenizer.

    Raises:
        CheckpointError: nothing is there, it is no GPT-2, or its tokenizer is of another model.
    """
    config = load_config(checkpoint)
    if config.model_type == MODEL_TYPE:
        return load_monitor(checkpoint)
    if config.model_type != "gpt2":
        raise CheckpointError(f"base {checkpoint!r} is a {config.model_type!r} model: name a GPT-2")
    tokenizer = _base_tokenizer(checkpoint)
    trunk = load_weights(GPT2Model, checkpoint, pickled=True)
    _fold_attention_scales(trunk)
    _embed_added_tokens(trunk, tokenizer)
    require_vocabulary(tokenizer.get_vocab(), trunk.config.vocab_size, checkpoint)
    known = {key: value for key, value in trunk.config.to_dict().items() if key not in _NOT_THE_TRUNK}
    with quiet_transformers():
        model = GPT2Monitor(MonitorConfig(**known))
    model.transformer.load_state_dict(trunk.state_dict())
    return model, tokenizer


def adopt_topics(model: GPT2Monitor, topics: tuple[str, ...]) -> None:
    """Give the model a topic head for other topics, in place; one that it knew keeps what was learnt of it."""
    known = {name.casefold(): at for at, name in enumerate(model.config.topics)}
    if tuple(model.config.topics) == topics:
        return
    before = model.topic_head
    model.topic_head = nn.Linear(model.config.n_embd, len(topics))
    nn.init.normal_(model.topic_head.weight, std=model.config.initializer_range)
    nn.init.zeros_(model.topic_head.bias)
    with torch.no_grad():
        for at, name in enumerate(topics):
            if (old := known.get(name.casefold())) is not None:
                model.topic_head.weight[at] = before.weight[old]
                model.topic_head.bias[at] = before.bias[old]
    model.config.topics = list(topics)
    model.config.topic_temperature = 1.0


def _base_tokenizer(checkpoint: str) -> PreTrainedTokenizerFast:
    """Load the tokenizer; Chinese GPT-2s often bring BERT's `vocab.txt` and nothing that says so."""
    tokenizer = load_tokenizer(checkpoint)
    if not _reads(tokenizer) and (Path(checkpoint) / "vocab.txt").is_file():
        tokenizer = BertTokenizerFast.from_pretrained(checkpoint)
    if not _reads(tokenizer):
        raise CheckpointError(f"base {checkpoint!r} has no usable tokenizer: add its tokenizer.json or vocab.txt")
    # A text too long is cut at its end in training, because the engine cuts it there.
    tokenizer.truncation_side = "right"
    return tokenizer


def _reads(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Tell whether there is a vocabulary at all: transformers makes an empty tokenizer where it finds no file."""
    own = len(tokenizer) > len(set(tokenizer.all_special_tokens))
    return own and bool(tokenizer(_PROBE, add_special_tokens=False)["input_ids"])


def _embed_added_tokens(trunk: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    """Give tokens that were added to the tokenizer after pretraining a row each: the mean of the others."""
    highest = max(tokenizer.get_vocab().values(), default=-1)
    added = [number for number in tokenizer.get_added_vocab().values() if number >= trunk.config.vocab_size]
    if highest < trunk.config.vocab_size or highest + 1 - trunk.config.vocab_size > len(added):
        return
    table = trunk.wte.weight.detach()
    rows = table.mean(0).expand(highest + 1 - len(table), -1)
    trunk.wte = nn.Embedding(highest + 1, table.shape[1], _weight=torch.cat([table, rows]))
    trunk.config.vocab_size = highest + 1


def _fold_attention_scales(trunk: Any) -> None:
    """Multiply scales that differ from 1/sqrt(head width) into the query weights, exactly, and forget the settings."""
    config = trunk.config
    width = config.n_embd
    for depth, block in enumerate(trunk.h):
        scale = 1.0 if config.scale_attn_weights else math.sqrt(width // config.n_head)
        if config.scale_attn_by_inverse_layer_idx:
            scale /= depth + 1
        with torch.no_grad():
            block.attn.c_attn.weight[:, :width] *= scale
            block.attn.c_attn.bias[:width] *= scale
    config.scale_attn_weights, config.scale_attn_by_inverse_layer_idx = True, False
    config.reorder_and_upcast_attn = False
