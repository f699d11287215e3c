"""The classifier's metrics, each declared once; a worker serves them at `/metrics`."""

from prometheus_client import Counter, Summary

SECONDS = Summary("newsquake_models_seconds", "Seconds spent, by stage: tokenise, infer.", ["stage"])
TOKENS = Counter("newsquake_models_tokens", "Tokens scored, without padding.")
TEXTS = Counter("newsquake_models_texts", "Texts scored, by where the answer came from: forward pass or cache.", ["by"])
