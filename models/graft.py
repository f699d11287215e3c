"""Grow the student out of the teacher: a GPT-2 whose blocks are layers of the teacher's BERT, rewritten.

BERT normalises after each sub-layer, GPT-2 before it, so weights can't be copied as they are. With h the teacher's
state and f a sub-layer (attention or MLP), BERT computes h' = LN(h + f(h)). Over many tokens the standard deviation
that LN divides by hardly moves, so LN is nearly linear: h' = G (h + f(h) - m) + b, with a diagonal G = gain over
deviation. Then a residual stream u exists with h = D u + c for a diagonal D, along which the same network reads

    u' = u + f(h) / D,        D' = G D,        c' = G (c - m) + b,

which is GPT-2's form: its LayerNorms are fitted by least squares to give h back from u, and the output projections are
divided by D. What the linear view loses, and what a causal mask hides from all but the last token, training heals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from models.errors import DataError
from models.model import GPT2Monitor, MonitorConfig
from models.teacher import Teacher

_PROBED_TOKENS = 64


@dataclass(slots=True)
class _Stream:
    """One probe of n texts of at most t tokens, on its way through both networks at once."""

    teacher: Tensor
    """The teacher's states h under a causal mask, (n, t, width)."""
    student: Tensor
    """The student's residual stream u, (n, t, width)."""
    scale: Tensor
    """D, (width,)."""
    offset: Tensor
    """c, (width,)."""
    real: Tensor
    """True at real tokens, (n, t)."""

    def fit(self, norm: nn.LayerNorm) -> None:
        """Set the student's LayerNorm so that it gives the teacher's state back from the residual stream."""
        x = F.layer_norm(self.student, norm.normalized_shape)[self.real]
        y = self.teacher[self.real]
        x_mean, y_mean = x.mean(0), y.mean(0)
        x = x - x_mean
        gain = (x * (y - y_mean)).sum(0) / (x * x).sum(0).clamp(min=1e-6)
        norm.weight.copy_(gain)
        norm.bias.copy_(y_mean - gain * x_mean)

    def advance(self, added: Tensor, norm: nn.LayerNorm) -> None:
        """Add a sub-layer's output to both streams; `norm` is the teacher's LayerNorm behind it."""
        total = self.teacher + added
        gain = norm.weight / total.std(-1, unbiased=False)[self.real].mean()
        self.student = self.student + added / self.scale
        self.scale = gain * self.scale
        self.offset = gain * (self.offset - total.mean(-1)[self.real].mean()) + norm.bias
        self.teacher = norm(total)


@torch.no_grad()
def graft(
    teacher: Teacher, kept: Sequence[int], layers: Sequence[int], positions: int, probe: Sequence[Sequence[int]]
) -> GPT2Monitor:
    """Return a GPT-2 classifier with fresh heads, one block for each of the teacher's `layers`.

    Args:
        kept: the teacher's id of each of the student's pieces.
        layers: the teacher's layers to keep, counted from 0, lowest first.
        positions: how many tokens the student can read.
        probe: a few hundred texts as the student's token ids; the linear view is fitted on them.

    Raises:
        DataError: the teacher has no such layer or fewer positions.
    """
    bert = teacher.encoder.config
    if not layers or max(layers) >= bert.num_hidden_layers or positions > bert.max_position_embeddings:
        raise DataError(
            f"the teacher has {bert.num_hidden_layers} layers and {bert.max_position_embeddings} positions: "
            f"layers {list(layers)} with {positions} positions can't be taken from it"
        )
    model = GPT2Monitor(_config(bert, len(kept), len(layers), positions))
    stream = _embed(teacher, model, kept, probe)
    hidden = _causal_bias(stream.real)
    for block, layer in zip(model.transformer.h, layers, strict=True):
        _graft_layer(block, teacher.encoder.encoder.layer[layer], stream, hidden)
    stream.fit(model.transformer.ln_f)
    return model


def _config(bert: Any, pieces: int, layers: int, positions: int) -> MonitorConfig:
    return MonitorConfig(
        vocab_size=pieces,
        n_layer=layers,
        n_embd=bert.hidden_size,
        n_head=bert.num_attention_heads,
        n_inner=bert.intermediate_size,
        n_positions=positions,
        activation_function="gelu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=2,
    )


def _embed(teacher: Teacher, model: GPT2Monitor, kept: Sequence[int], probe: Sequence[Sequence[int]]) -> _Stream:
    embeddings = teacher.encoder.embeddings
    words = embeddings.word_embeddings.weight[list(kept)] + embeddings.token_type_embeddings.weight[0]
    places = embeddings.position_embeddings.weight
    norm, trunk = embeddings.LayerNorm, model.transformer
    rows = [torch.tensor(row[:_PROBED_TOKENS]) for row in probe]
    ids = pad_sequence(rows, batch_first=True)
    real = torch.arange(ids.shape[1])[None, :] < torch.tensor([len(row) for row in rows])[:, None]
    raw = words[ids] + places[: ids.shape[1]]
    middle = places[:_PROBED_TOKENS].mean(0)
    trunk.wte.weight.copy_(norm(words + middle))
    moved = (places[: trunk.wpe.weight.shape[0]] - middle) * norm.weight
    trunk.wpe.weight.copy_(moved / raw.std(-1, unbiased=False)[real].mean())
    student = trunk.wte.weight[ids] + trunk.wpe.weight[: ids.shape[1]]
    width = student.shape[-1]
    return _Stream(norm(raw), student, torch.ones(width), torch.zeros(width), real)


def _graft_layer(block: Any, layer: Any, stream: _Stream, hidden: Tensor) -> None:
    attention, output = layer.attention.self, layer.attention.output
    stream.fit(block.ln_1)
    parts = (attention.query, attention.key, attention.value)
    block.attn.c_attn.weight.copy_(torch.cat([part.weight for part in parts]).T)
    block.attn.c_attn.bias.copy_(torch.cat([part.bias for part in parts]))
    _scaled(block.attn.c_proj, output.dense, stream.scale)
    query, key, value = (_heads(part(stream.teacher), attention.num_attention_heads) for part in parts)
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=hidden).transpose(1, 2)
    stream.advance(output.dense(mixed.reshape(stream.teacher.shape)), output.LayerNorm)
    stream.fit(block.ln_2)
    inner, outer = layer.intermediate.dense, layer.output.dense
    block.mlp.c_fc.weight.copy_(inner.weight.T)
    block.mlp.c_fc.bias.copy_(inner.bias)
    _scaled(block.mlp.c_proj, outer, stream.scale)
    stream.advance(outer(F.gelu(inner(stream.teacher))), layer.output.LayerNorm)


def _scaled(target: Any, source: nn.Linear, scale: Tensor) -> None:
    """Copy an output projection into a Conv1D, divided by the residual stream's scale."""
    target.weight.copy_((source.weight / scale[:, None]).T)
    target.bias.copy_(source.bias / scale)


def _heads(states: Tensor, heads: int) -> Tensor:
    texts, tokens, width = states.shape
    return states.view(texts, tokens, heads, width // heads).transpose(1, 2)


def _causal_bias(real: Tensor) -> Tensor:
    tokens = real.shape[1]
    seen = torch.tril(torch.ones(tokens, tokens, dtype=torch.bool))[None] & real[:, None, :]
    return torch.zeros(seen.shape).masked_fill(~seen, -1e9)[:, None]
