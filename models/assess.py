"""How good a classifier is on held-back rows while it is trained, and the temperatures that calibrate it afterwards."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from models.batches import encode, ordered_batches
from models.calibration import threshold_for
from models.model import GPT2Monitor, load_monitor, pad_token_id, save_monitor
from models.quality import HeadQuality, fit_temperature, measure, softmax
from models.rows import Row

Logits = tuple[NDArray[np.float64], NDArray[np.float64]]


def assess(
    model: GPT2Monitor, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row], max_tokens: int
) -> tuple[HeadQuality, Logits]:
    """Return both heads' figures on the rows, with the model's temperatures, and their raw logits."""
    logits = predict_logits(model, tokenizer, [row.text for row in rows], max_tokens)
    labels = np.array([row.sentiment for row in rows]), np.array([row.topic for row in rows])
    sentiment = measure(labels[0], softmax(logits[0] / model.config.sentiment_temperature))
    topic = measure(labels[1], softmax(logits[1] / model.config.topic_temperature))
    return HeadQuality(sentiment, topic), logits


def predict_logits(
    model: GPT2Monitor, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int
) -> Logits:
    """Return sentiment (n, 3) and topic (n, topics) logits of the plain forward pass, in the order of the texts."""
    sentiment = np.zeros((len(texts), len(model.config.sentiments)))
    topic = np.zeros((len(texts), len(model.config.topics)))
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        for batch in ordered_batches(encode(tokenizer, texts, max_tokens), 64, pad_token_id(tokenizer)):
            output = model(batch.ids.to(device), batch.lengths.to(device))
            sentiment[batch.rows.numpy()] = output.sentiment.float().cpu().numpy()
            topic[batch.rows.numpy()] = output.topic.float().cpu().numpy()
    return sentiment, topic


def selection_figure(figures: HeadQuality) -> float:
    """Return what epochs are compared by: macro F1, averaged over the heads that have labels."""
    known = [quality.macro_f1 for quality in (figures.sentiment, figures.topic) if quality.n]
    return sum(known) / len(known)


def calibrate(out: Path, held_back: Sequence[Row], max_tokens: int, half: bool) -> HeadQuality:
    """Fit temperatures and abstention of the checkpoint in `out` on held-back rows, write them, return its figures.

    Raises:
        CheckpointError: `out` cannot be read or written.
    """
    model, tokenizer = load_monitor(str(out.resolve()))
    _, logits = assess(model, tokenizer, held_back, max_tokens)
    labels = np.array([row.sentiment for row in held_back])
    model.config.sentiment_temperature = fit_temperature(labels, logits[0])
    model.config.abstain_below = threshold_for(labels, softmax(logits[0] / model.config.sentiment_temperature))
    model.config.topic_temperature = fit_temperature(np.array([row.topic for row in held_back]), logits[1])
    save_monitor(model, tokenizer, out, half=half)
    return assess(model, tokenizer, held_back, max_tokens)[0]
