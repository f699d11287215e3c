"""A GPT-2 of base size (12 layers, 768 wide) with random weights: what a user's own larger trunk would cost.

Speed does not depend on what weights say, but agreement does: random heads over a random trunk give every text nearly
the same, nearly even distribution, and any rounding turns labels over. So the heads are scaled until the logits of real
texts (a spread of the project's corpus) have mean 0 and a standard deviation of `SPREAD` in each class, much like those
of a trained classifier: predictions then spread over the classes, and a label that turns over means something.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

BASE = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
SPREAD = 2.0
SEED = 7


def build(checkpoint: str, folder: str, texts: Sequence[str], shape: dict[str, Any] | None = None) -> None:
    """Save a base-size classifier in float32 in `folder`, with the tokenizer of `checkpoint`."""
    import torch

    from models.model import GPT2Monitor, MonitorConfig, load_tokenizer, save_monitor

    tokenizer = load_tokenizer(checkpoint)
    torch.manual_seed(SEED)
    model = GPT2Monitor(MonitorConfig(activation_function="gelu_new", **(shape or BASE))).eval()
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(min(256, model.config.n_positions))
    rows = [encoding.ids for encoding in backend.encode_batch_fast(list(texts))]
    with torch.no_grad():
        states = torch.cat([model(torch.tensor([row]), torch.tensor([len(row)])).pooled for row in rows])
        for head in (model.sentiment_head, model.topic_head):
            _spread(head, states)
    save_monitor(model, tokenizer, Path(folder))


def _spread(head: "nn.Linear", states: "Tensor") -> None:
    """Give the head's logits over the states mean 0 and a standard deviation of `SPREAD` in each class."""
    logits = states @ head.weight.T
    scale = SPREAD / logits.std(0)
    head.weight *= scale[:, None]
    head.bias.copy_(-logits.mean(0) * scale)
