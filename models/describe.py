"""What a checkpoint is and how this machine would run it."""

from math import prod
from typing import Any

from models.backends import open_backend
from models.checkpoint import read_checkpoint, weight_shapes
from models.hardware import find_device
from models.settings import ModelsSettings


def describe(settings: ModelsSettings) -> dict[str, Any]:
    """Return the facts about the configured checkpoint, for people and for JSON.

    Raises:
        CheckpointError: it is missing or unusable.
        SettingsError: the device is not there, or the backend does not run on it.
    """
    from models.graph import TRANSFORMATIONS

    checkpoint = read_checkpoint(settings.checkpoint)
    backend = open_backend(checkpoint, settings)
    config, folder = checkpoint.config, checkpoint.folder
    return {
        "model_id": checkpoint.model_id,
        "checkpoint": settings.checkpoint,
        "parameters": sum(prod(shape) for shape in weight_shapes(config).values()),
        "layers": config.n_layer,
        "width": config.n_embd,
        "heads": config.n_head,
        "vocabulary": checkpoint.tokenizer.get_vocab_size(),
        "positions": config.n_positions,
        "megabytes": round(sum(f.stat().st_size for f in folder.glob("*") if f.is_file()) / 1e6, 1),
        "sentiments": list(config.sentiments),
        "topics": list(config.topics),
        "sentiment_temperature": config.sentiment_temperature,
        "topic_temperature": config.topic_temperature,
        "abstain_below": config.abstain_below,
        "device": find_device(settings.device),
        "backend": backend.name,
        "dtype": backend.precision,
        "max_tokens": min(settings.max_tokens, config.n_positions),
        "transformations": {
            name: transformation.summary
            for name, transformation in TRANSFORMATIONS.items()
            if name not in settings.without
        },
    }
