"""How to train: every number and choice that a run depends on besides its rows and its base."""

from dataclasses import dataclass

from models.errors import SettingsError

METHODS = ("full", "lora", "adalora", "adapter")
"""Which weights of the trunk are trained; the two heads always are, in full.

full      all of them
lora      low-rank updates of every projection (Hu et al. 2021), by peft
adalora   the same, with the ranks shared out among the projections by importance (Zhang et al. 2023), by peft
adapter   a bottleneck with GPT-2's own activation beside each block's MLP (the parallel adapter of He et al. 2022)
"""

CLASS_WEIGHTS = ("balanced", "none")
_RANKS = {"lora": 8, "adalora": 8, "adapter": 64}
_RATES = {"full": 3e-4}
_ADAPTER_RATE = 1e-3


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train; the defaults suit fine-tuning the shipped checkpoint on a few thousand rows."""

    epochs: int = 5
    batch_size: int = 32
    """Texts in one forward pass."""
    accumulate: int = 1
    """Forward passes whose gradients make one step."""
    lr: float = 3e-4
    layer_decay: float = 1.0
    """Each block's rate is the rate of the one above times this; the embeddings' is the lowest, the heads' is `lr`."""
    weight_decay: float = 0.05
    warmup: float = 0.06
    clip: float = 1.0
    """Longest gradient, as its L2 norm over all weights."""
    smoothing: float = 0.05
    noise: bool = True
    """Whether texts are shown as other writers might have typed them, differently in each epoch."""
    token_dropout: float = 0.05
    class_weights: str = "balanced"
    """`balanced`: a rare class weighs more, by the square root of its frequency; `none`: every row weighs the same."""
    patience: int = 3
    max_tokens: int = 128
    seed: int = 7
    device: str = "auto"
    soft_weight: float = 2.0
    state_weight: float = 1.0
    method: str = "full"
    """One of `METHODS`."""
    rank: int = 0
    """Rank of low-rank updates, or width of adapters; 0 for the method's own (8, and 64 for `adapter`)."""
    rdrop: float = 0.0
    """Weight of the divergence between two dropout passes (Liang et al. 2021); 0 for one pass."""
    fgm: float = 0.0
    """Length of the adversarial step on the token embeddings (Miyato et al. 2017); 0 for none."""

    def __post_init__(self) -> None:
        """Refuse what no run can use.

        Raises:
            SettingsError: a value is out of range; says which.
        """
        for name, choices in (("method", METHODS), ("class_weights", CLASS_WEIGHTS)):
            if getattr(self, name) not in choices:
                raise SettingsError(f"{name} {getattr(self, name)!r} is unknown: use one of {', '.join(choices)}")
        for name in ("epochs", "batch_size", "accumulate", "patience", "max_tokens"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: use 1 or more")
        for name in ("lr", "rank", "rdrop", "fgm"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}: use 0 or more")
        if not 0 < self.layer_decay <= 1 or self.clip <= 0:
            raise SettingsError("layer_decay must be above 0 and at most 1, and clip above 0")

    @property
    def width(self) -> int:
        """The rank or adapter width in force."""
        return self.rank or _RANKS.get(self.method, 0)


def usual_rate(method: str) -> float:
    """Return the learning rate to take for a method where none is given: few new weights bear a higher one."""
    return _RATES.get(method, _ADAPTER_RATE)
