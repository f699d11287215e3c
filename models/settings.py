"""Settings of the classifier: environment variables `NEWSQUAKE_MODELS_*`."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SHIPPED_CHECKPOINT = Path(__file__).parent / "checkpoints" / "default"


class ModelsSettings(BaseSettings):
    """How a worker loads and runs the classifier."""

    model_config = SettingsConfigDict(env_prefix="NEWSQUAKE_MODELS_", extra="ignore")

    checkpoint: str = Field(
        default=str(SHIPPED_CHECKPOINT),
        description="Folder or hub name of a trained classifier; the shipped one if not set.",
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="Where the weights live: auto takes the first GPU if there is one.",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Precision of the trunk: auto takes bfloat16 where the hardware multiplies it natively.",
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        default="auto",
        description="What runs the forward pass: auto takes OpenVINO on a CPU and torch on a GPU.",
    )
    without: tuple[str, ...] = Field(
        default=(),
        description="Graph transformations to leave out, as a JSON list; `newsquake model info` names them.",
    )
    token_budget: int = Field(
        default=0,
        ge=0,
        description="Most tokens, padding included, in one forward pass; 0 takes what a short measurement finds best.",
    )
    max_tokens: int = Field(default=256, ge=8, description="Tokens of a text that are read; the rest is cut off.")
    cache_size: int = Field(default=16384, ge=0, description="Distinct recent texts whose scores are kept; 0 for none.")
    cache_dir: Path = Field(
        default=Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "newsquake",
        description="Folder in which the compiled form of a checkpoint is kept, so that the next start is faster.",
    )
    threads: int = Field(
        default=0, ge=0, description="CPU threads of a forward pass; 0 for the cores that the process may use."
    )
