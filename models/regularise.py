"""Two regularisers for small sets of rows, each a few functions that know nothing of the loop that uses them.

R-Drop (Liang et al. 2021): the same batch passes twice, dropout differs, and the two answers should not.
FGM (Miyato et al. 2017): the batch passes again with its token embeddings moved where the loss rises fastest, and the
answer should stay. The paper normalises the embeddings so that the length of the step means the same for every model;
here the step is measured in standard deviations of the embedding table, which comes to the same.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.model import MonitorOutput


def disagreement(first: MonitorOutput, second: MonitorOutput) -> Tensor:
    """Return the symmetric KL divergence of two passes over the same texts, summed over both heads."""
    return symmetric_divergence(first.sentiment, second.sentiment) + symmetric_divergence(first.topic, second.topic)


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return (KL(p, q) + KL(q, p)) / 2 of two sets of logits (n, classes), averaged over the n rows."""
    p, q = F.log_softmax(first.float(), dim=-1), F.log_softmax(second.float(), dim=-1)
    divergence: Tensor = ((p.exp() - q.exp()) * (p - q)).sum(-1).mean() / 2
    return divergence


def step_radius(tokens: nn.Embedding, epsilon: float) -> float:
    """Return the length of an adversarial step of `epsilon` standard deviations of the embedding table."""
    return epsilon * float(tokens.weight.detach().float().std())


def adversarial_step(gradient: Tensor, radius: float) -> Tensor:
    """Return the step of the given length along each text's gradient (n, tokens, width), over the whole text."""
    length: Tensor = torch.linalg.vector_norm(gradient, dim=(1, 2), keepdim=True).clamp(min=1e-12)
    return radius * gradient / length


def no_step(tokens: nn.Embedding, ids: Tensor) -> Tensor:
    """Return a step of zero for ids (n, tokens) that a backward pass gives a gradient, even if `tokens` is frozen."""
    return torch.zeros(*ids.shape, tokens.embedding_dim, device=ids.device, requires_grad=True)


@contextlib.contextmanager
def moved_embeddings(tokens: nn.Embedding, step: Tensor) -> Iterator[None]:
    """Add `step` (n, tokens, width) to whatever the embedding gives, as long as the context lasts."""
    hook = tokens.register_forward_hook(lambda _module, _ids, embedded: embedded + step)
    try:
        yield
    finally:
        hook.remove()
