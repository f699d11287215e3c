"""What a checkpoint is and how this machine would run it."""

from pathlib import Path
from typing import Any

from models.devices import pick_device, pick_dtype
from models.engine import weights_hash
from models.model import load_monitor
from models.settings import ModelsSettings


def describe(settings: ModelsSettings) -> dict[str, Any]:
    """Return the facts about the configured checkpoint, for people and for JSON.

    Raises:
        CheckpointError: it is missing or unusable.
        SettingsError: the device is not there.
    """
    model, tokenizer = load_monitor(settings.checkpoint)
    device = pick_device(settings.device)
    config, folder = model.config, Path(settings.checkpoint)
    return {
        "model_id": f"{folder.name}-{weights_hash(model)}",
        "checkpoint": settings.checkpoint,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": config.n_layer,
        "width": config.n_embd,
        "heads": config.n_head,
        "vocabulary": len(tokenizer),
        "positions": config.n_positions,
        "megabytes": round(sum(f.stat().st_size for f in folder.glob("*") if f.is_file()) / 1e6, 1),
        "sentiments": config.sentiments,
        "topics": config.topics,
        "sentiment_temperature": config.sentiment_temperature,
        "topic_temperature": config.topic_temperature,
        "abstain_below": config.abstain_below,
        "device": str(device),
        "dtype": str(pick_dtype(settings.dtype, device)).removeprefix("torch."),
        "max_tokens": min(settings.max_tokens, config.n_positions),
    }
