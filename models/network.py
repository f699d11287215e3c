"""The classifier as GPT-2 is written down, for inference: what the transformations of `models/graph.py` start from.

It computes what `models.GPT2Monitor` computes (Radford et al. 2019), from the same weights, with every step open to
rewriting: an attention mask, Conv1D layers, and all tokens through the last block though only one is read.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.checkpoint import Checkpoint, NetworkConfig
from models.errors import CheckpointError

_ACTIVATIONS: dict[str, tuple[type[nn.Module], dict[str, str]]] = {
    "gelu": (nn.GELU, {}),
    "gelu_new": (nn.GELU, {"approximate": "tanh"}),
    "gelu_pytorch_tanh": (nn.GELU, {"approximate": "tanh"}),
    "relu": (nn.ReLU, {}),
    "silu": (nn.SiLU, {}),
    "swish": (nn.SiLU, {}),
    "tanh": (nn.Tanh, {}),
}


class Conv1D(nn.Module):
    """GPT-2's dense layer: its weight is (in, out)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, states: Tensor) -> Tensor:
        """Map states (..., in) to (..., out)."""
        return states @ self.weight + self.bias


class Attention(nn.Module):
    """What every form of attention knows; `scale` multiplies dot products, None for one over a head's root width."""

    def __init__(self, heads: int, scale: float | None) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale


class MaskedAttention(Attention):
    """Attention under an explicit mask: no token sees a later one, nor padding."""

    def forward(self, projected: Tensor, lengths: Tensor) -> Tensor:
        """Map queries, keys and values side by side (n, tokens, 3 width) to mixed values (n, tokens, width)."""
        query, key, value = split_heads(projected, self.heads)
        mask = self._mask(projected, lengths)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=self.scale)
        return mixed.transpose(1, 2).flatten(2)

    def _mask(self, projected: Tensor, lengths: Tensor) -> Tensor:
        places = torch.arange(projected.shape[1], device=projected.device)
        earlier = places[None, :] <= places[:, None]
        real = places[None, :] < lengths[:, None]
        return earlier[None, None] & real[:, None, None, :]


class Block(nn.Module):
    """One pre-LayerNorm transformer block with a single query-key-value projection."""

    def __init__(self, weights: dict[str, Tensor], config: NetworkConfig, layer: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = layer_norm(weights, "ln_1", config), layer_norm(weights, "ln_2", config)
        self.qkv: nn.Module = Conv1D(weights["attn.c_attn.weight"], weights["attn.c_attn.bias"])
        self.out: nn.Module = Conv1D(weights["attn.c_proj.weight"], weights["attn.c_proj.bias"])
        self.up: nn.Module = Conv1D(weights["mlp.c_fc.weight"], weights["mlp.c_fc.bias"])
        self.down: nn.Module = Conv1D(weights["mlp.c_proj.weight"], weights["mlp.c_proj.bias"])
        self.attention: Attention = MaskedAttention(config.n_head, attention_scale(config, layer))
        self.activation = activation(config.activation_function)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Map states (n, tokens, width) to states of the same shape."""
        return self.rest(states, self.attention(self.qkv(self.ln_1(states)), lengths))

    def rest(self, states: Tensor, mixed: Tensor) -> Tensor:
        """Return the states of any tokens after this block, from those before it and the attention's mixed values."""
        attended: Tensor = states + self.out(mixed)
        moved: Tensor = self.down(self.activation(self.up(self.ln_2(attended))))
        return attended + moved


class LastToken(nn.Module):
    """Pick each text's last real token."""

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Map states (n, tokens, width) to (n, width)."""
        return states[torch.arange(lengths.shape[0], device=states.device), lengths - 1]


class TemperedHead(nn.Module):
    """A linear head whose logits are divided by its calibration temperature."""

    def __init__(self, head: nn.Linear, temperature: float) -> None:
        super().__init__()
        self.head, self.temperature = head, temperature

    def forward(self, pooled: Tensor) -> Tensor:
        """Map states (n, width) to logits (n, classes)."""
        logits: Tensor = self.head(pooled) / self.temperature
        return logits


class Network(nn.Module):
    """The whole classifier: right-padded token ids in, calibrated probabilities out."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Read the checkpoint's weights.

        Raises:
            CheckpointError: they cannot be read, or its activation cannot be served.
        """
        super().__init__()
        config = checkpoint.config
        weights = {name: torch.from_numpy(value) for name, value in checkpoint.weights().items()}
        self.tokens = _embedding(weights["transformer.wte.weight"])
        self.positions = _embedding(weights["transformer.wpe.weight"])
        blocks = [Block(_below(weights, f"transformer.h.{layer}."), config, layer) for layer in range(config.n_layer)]
        self.blocks = nn.ModuleList(blocks)
        self.ln_f = layer_norm(_below(weights, "transformer."), "ln_f", config)
        self.pool: nn.Module = LastToken()
        self.sentiment_head: nn.Module = TemperedHead(
            linear(weights["sentiment_head.weight"], weights["sentiment_head.bias"]), config.sentiment_temperature
        )
        self.topic_head: nn.Module = TemperedHead(
            linear(weights["topic_head.weight"], weights["topic_head.bias"]), config.topic_temperature
        )
        self.eval().requires_grad_(False)

    @property
    def context(self) -> int:
        """Most tokens of a text that the trunk has positions for."""
        return self.positions.num_embeddings

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return sentiment (n, 3) and topic (n, topics) probabilities for ids (n, longest) of real lengths (n,)."""
        states: Tensor = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            states = block(states, lengths)
        pooled = self.ln_f(self.pool(states, lengths)).float()
        return self.sentiment_head(pooled).softmax(-1), self.topic_head(pooled).softmax(-1)


def split_heads(projected: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split (n, tokens, 3 width) into queries, keys and values, each (n, heads, tokens, width / heads)."""
    n, tokens, width = projected.shape
    shape = n, tokens, heads, width // 3 // heads
    query, key, value = (part.reshape(shape).transpose(1, 2) for part in projected.chunk(3, dim=-1))
    return query, key, value


def attention_scale(config: NetworkConfig, layer: int) -> float | None:
    """Return what dot products are multiplied by, None for the usual one over the root of a head's width."""
    if config.scale_attn_weights and not config.scale_attn_by_inverse_layer_idx:
        return None
    scale = (config.n_embd // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
    return scale / (layer + 1) if config.scale_attn_by_inverse_layer_idx else scale


def activation(name: str) -> nn.Module:
    """Return GPT-2's activation by the name that transformers gives it.

    Raises:
        CheckpointError: it is none of those that can be served.
    """
    if name not in _ACTIVATIONS:
        raise CheckpointError(f"activation_function {name!r} cannot be served: use one of {', '.join(_ACTIVATIONS)}")
    kind, options = _ACTIVATIONS[name]
    return kind(**options)


def layer_norm(weights: dict[str, Tensor], name: str, config: NetworkConfig) -> nn.LayerNorm:
    """Return a LayerNorm over the states' width."""
    norm = nn.LayerNorm(config.n_embd, config.layer_norm_epsilon, device="meta")
    norm.weight, norm.bias = nn.Parameter(weights[f"{name}.weight"]), nn.Parameter(weights[f"{name}.bias"])
    return norm


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a Linear with these (out, in) and (out,) weights, without a copy."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def _embedding(weight: Tensor) -> nn.Embedding:
    table = nn.Embedding(weight.shape[0], weight.shape[1], device="meta")
    table.weight = nn.Parameter(weight)
    return table


def _below(weights: dict[str, Tensor], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
