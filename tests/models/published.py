"""Tiny GPT-2s in the forms in which people publish them, for the tests of what training can start from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

SHAPE = {"n_layer": 2, "n_embd": 32, "n_head": 2, "n_positions": 48}


def causal_model(vocabulary: int, **config: Any) -> GPT2LMHeadModel:
    """A random causal language model, the same each time."""
    torch.manual_seed(1)
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, bos_token_id=None, eos_token_id=None, **SHAPE | config))


def english_gpt2(folder: Path, texts: Sequence[str], **config: Any) -> Path:
    """As `gpt2` itself: safetensors, byte-level BPE, no padding token and nothing added to a text."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|endoftext|>", bos_token="<|endoftext|>", unk_token="<|endoftext|>"
    )
    causal_model(len(tokenizer), **config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def chinese_gpt2(folder: Path, texts: Sequence[str], *, tokenizer_named: bool = True, **config: Any) -> Path:
    """As older Chinese GPT-2s: a pickled `.bin`, BERT's `vocab.txt` of single characters, no end of text."""
    folder.mkdir(parents=True)
    characters = sorted({character for text in texts for character in text if not character.isspace()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    model = causal_model(len(pieces), **config)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    named = {"tokenizer_class": "BertTokenizer"} if tokenizer_named else {}
    (folder / "config.json").write_text(json.dumps(model.config.to_dict() | {"model_type": "gpt2"} | named))
    return folder
