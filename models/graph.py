"""The classifier's forward pass, rewritten for inference; tests hold each rewriting to the plain pass.

`without_mask`          right padding under a causal mask: no real token sees padding, so no mask is built
`conv1d_to_linear`      GPT-2's Conv1D weights, transposed once into Linear layout
`last_block_pooled`     in the last block only the pooled token's query, projection and MLP are computed
`in_precision`          the trunk's weights cast once; the heads stay in float32
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from models.model import GPT2Monitor


class LeanBlock(nn.Module):
    """One pre-LayerNorm transformer block with a single query-key-value projection."""

    ln_1: nn.Module
    ln_2: nn.Module
    activation: nn.Module

    def __init__(self, block: Any, heads: int, activation: str) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = block.ln_1, block.ln_2
        self.qkv = conv1d_to_linear(block.attn.c_attn)
        self.out = conv1d_to_linear(block.attn.c_proj)
        self.up = conv1d_to_linear(block.mlp.c_fc)
        self.down = conv1d_to_linear(block.mlp.c_proj)
        self.activation = nn.GELU(approximate="tanh") if activation == "gelu_new" else ACT2FN[activation]

    def forward(self, states: Tensor) -> Tensor:
        """Map states (n, tokens, width) to states of the same shape."""
        query, key, value = self._split(self.qkv(self.ln_1(states)))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self._rest(states, mixed.transpose(1, 2).flatten(2))

    def last_block_pooled(self, states: Tensor, last: Tensor) -> Tensor:
        """Map states (n, tokens, width) to the states (n, width) of the tokens at `last` (n,)."""
        query, key, value = self._split(self.qkv(self.ln_1(states)))
        rows = torch.arange(last.shape[0], device=states.device)
        picked = query.transpose(1, 2)[rows, last].unsqueeze(2)
        seen = torch.arange(states.shape[1], device=states.device) <= last[:, None]
        mixed = F.scaled_dot_product_attention(picked, key, value, attn_mask=seen[:, None, None, :])
        return self._rest(states[rows, last], mixed.flatten(1))

    def _split(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = projected.reshape(*projected.shape[:-1], 3, self.heads, -1).transpose(1, 3)
        return parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]

    def _rest(self, states: Tensor, mixed: Tensor) -> Tensor:
        attended: Tensor = states + self.out(mixed)
        moved: Tensor = self.down(self.activation(self.up(self.ln_2(attended))))
        return attended + moved


class LeanMonitor(nn.Module):
    """The whole classifier: right-padded token ids in, calibrated probabilities out."""

    tokens: nn.Embedding
    positions: nn.Embedding
    ln_f: nn.Module

    def __init__(self, model: GPT2Monitor, dtype: torch.dtype, *, pool_last_block: bool = True) -> None:
        super().__init__()
        config, trunk = model.config, model.transformer
        self.topics: tuple[str, ...] = tuple(config.topics)
        self.pool_last_block = pool_last_block
        self.tokens, self.positions, self.ln_f = trunk.wte, trunk.wpe, trunk.ln_f
        blocks = [LeanBlock(block, config.n_head, config.activation_function) for block in trunk.h]
        self.blocks = nn.ModuleList(blocks[:-1])
        self.last_block = blocks[-1]
        in_precision(self, dtype)
        self.sentiment_head = scaled_head(model.sentiment_head, config.sentiment_temperature)
        self.topic_head = scaled_head(model.topic_head, config.topic_temperature)
        self.eval().requires_grad_(False)

    @property
    def context(self) -> int:
        """Most tokens of a text that the trunk has positions for."""
        return self.positions.num_embeddings

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return sentiment (n, 3) and topic (n, topics) probabilities for ids (n, longest) of real lengths (n,)."""
        states = self.without_mask(ids)
        last = lengths - 1
        if self.pool_last_block:
            pooled = self.last_block.last_block_pooled(states, last)
        else:
            pooled = self.last_block(states)[torch.arange(last.shape[0], device=ids.device), last]
        pooled = self.ln_f(pooled).float()
        return self.sentiment_head(pooled).softmax(-1), self.topic_head(pooled).softmax(-1)

    def without_mask(self, ids: Tensor) -> Tensor:
        """Return the states before the last block, (n, longest, width)."""
        states: Tensor = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            states = block(states)
        return states


def conv1d_to_linear(conv: Any) -> nn.Linear:
    """Return a Linear that computes what GPT-2's Conv1D, whose weight is (in, out), computes."""
    wide, narrow = conv.weight.shape
    linear = nn.Linear(wide, narrow, device="meta")
    linear.weight = nn.Parameter(conv.weight.detach().t().contiguous())
    linear.bias = nn.Parameter(conv.bias.detach())
    return linear


def in_precision(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Cast the weights in place."""
    return module.to(dtype)


def scaled_head(head: nn.Linear, temperature: float) -> nn.Linear:
    """Return the head in float32 with its calibration temperature divided into the weights."""
    scaled = nn.Linear(head.in_features, head.out_features, device="meta")
    scaled.weight = nn.Parameter(head.weight.detach().float() / temperature)
    scaled.bias = nn.Parameter(head.bias.detach().float() / temperature)
    return scaled
