"""The transformations of the forward pass, each from network to network; tests hold each to the plain pass.

They are applied in the order of `TRANSFORMATIONS`; any of them can be left out. Two things that others must take out
or put in are so from the start: there is no language-model head, and queries, keys and values are one projection.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import SettingsError
from models.network import Attention, Block, Conv1D, Network, TemperedHead, linear, split_heads


@dataclass(frozen=True, slots=True)
class Transformation:
    """A rewriting that leaves the answers as they are."""

    summary: str
    apply: Callable[[Network], Network]


class CausalAttention(Attention):
    """Attention in which no token sees a later one; padding stands on the right, so no real token sees it either."""

    def forward(self, projected: Tensor, _lengths: Tensor) -> Tensor:
        """Map queries, keys and values side by side (n, tokens, 3 width) to mixed values (n, tokens, width)."""
        query, key, value = split_heads(projected, self.heads)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=self.scale)
        return mixed.transpose(1, 2).flatten(2)


class PooledBlock(nn.Module):
    """A last block: keys and values of every token, all else of each text's last token alone."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block, self.heads, self.scale = block, block.attention.heads, block.attention.scale
        self.query, self.key_value = _split_projection(block.qkv)
        del block.qkv, block.attention

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Map states (n, tokens, width) to the pooled states (n, width)."""
        n, tokens, width = states.shape
        rows = torch.arange(lengths.shape[0], device=states.device)
        normal = self.block.ln_1(states)
        query = self.query(normal[rows, lengths - 1]).reshape(n, 1, self.heads, width // self.heads).transpose(1, 2)
        shape = n, tokens, self.heads, width // self.heads
        key, value = (part.reshape(shape).transpose(1, 2) for part in self.key_value(normal).chunk(2, dim=-1))
        seen = torch.arange(tokens, device=states.device) < lengths[:, None]
        mask = seen[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=self.scale)
        return self.block.rest(states[rows, lengths - 1], mixed.flatten(1))


class Pooled(nn.Module):
    """Nothing is left to pick."""

    def forward(self, states: Tensor, _lengths: Tensor) -> Tensor:
        """Return the states (n, width) as they are."""
        return states


def without_mask(network: Network) -> Network:
    """Leave the mask out: attention itself is causal."""
    for block in network.blocks:
        if isinstance(block, Block):
            block.attention = CausalAttention(block.attention.heads, block.attention.scale)
    return network


def conv1d_to_linear(network: Network) -> Network:
    """Transpose every Conv1D weight once, into the layout that matrix products of states read in order."""
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, Conv1D):
                setattr(module, name, linear(layer.weight.detach().t().contiguous(), layer.bias.detach()))
    return network.requires_grad_(False)


def folded_scale(network: Network) -> Network:
    """Multiply the scale of the dot products into the weights of the queries."""
    for block in network.blocks:
        assert isinstance(block, Block)
        attention, qkv = block.attention, block.qkv
        assert isinstance(qkv, Conv1D | nn.Linear)
        weight = qkv.weight.t() if isinstance(qkv, Conv1D) else qkv.weight  # a view, with queries in its first rows
        width = weight.shape[1]
        scale = (width // attention.heads) ** -0.5 if attention.scale is None else attention.scale
        weight[:width] *= scale
        qkv.bias[:width] *= scale
        attention.scale = 1.0
    return network


def last_block_pooled(network: Network) -> Network:
    """Compute in the last block only what reaches the pooled token."""
    last = network.blocks[-1]
    if isinstance(last, Block):
        network.blocks[-1] = PooledBlock(last)
        network.pool = Pooled()
    return network.requires_grad_(False)


def folded_temperatures(network: Network) -> Network:
    """Divide the calibration temperatures into the heads' weights."""
    for name in ("sentiment_head", "topic_head"):
        head = getattr(network, name)
        if isinstance(head, TemperedHead):
            weight, bias = head.head.weight.detach(), head.head.bias.detach()
            setattr(network, name, linear(weight / head.temperature, bias / head.temperature))
    return network.requires_grad_(False)


def in_precision(network: Network, dtype: torch.dtype) -> Network:
    """Cast the trunk's weights; the two heads stay in float32."""
    for module in (network.tokens, network.positions, network.blocks, network.ln_f):
        module.to(dtype)
    return network


TRANSFORMATIONS = {
    "without_mask": Transformation("causal attention and right padding: no mask is built or added", without_mask),
    "conv1d_to_linear": Transformation("dense weights transposed once into (out, in)", conv1d_to_linear),
    "folded_scale": Transformation("the scale of attention multiplied into the queries' weights", folded_scale),
    "last_block_pooled": Transformation(
        "the last block computes one token a text, and keys and values", last_block_pooled
    ),
    "folded_temperatures": Transformation("calibration divided into the heads' weights", folded_temperatures),
}
"""By name, in the order of application. Precision is set apart, by `in_precision`."""


def transformed(network: Network, without: Collection[str] = ()) -> Network:
    """Apply every transformation that is not left out.

    Raises:
        SettingsError: there is no transformation of such a name.
    """
    if unknown := sorted(set(without) - TRANSFORMATIONS.keys()):
        raise SettingsError(f"no transformation {unknown[0]!r}: there are {', '.join(TRANSFORMATIONS)}")
    for name, transformation in TRANSFORMATIONS.items():
        if name not in without:
            network = transformation.apply(network)
    return network


def _split_projection(qkv: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Split the one projection into the query's and that of keys and values."""
    if isinstance(qkv, Conv1D):
        width = qkv.weight.shape[0]
        parts = [(qkv.weight[:, :width], qkv.bias[:width]), (qkv.weight[:, width:], qkv.bias[width:])]
        query, both = (Conv1D(weight.detach().contiguous(), bias.detach()) for weight, bias in parts)
        return query, both
    assert isinstance(qkv, nn.Linear)
    width = qkv.in_features
    weight, bias = qkv.weight.detach(), qkv.bias.detach()
    return linear(weight[:width], bias[:width]), linear(weight[width:].contiguous(), bias[width:])
