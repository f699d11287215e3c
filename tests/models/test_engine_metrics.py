"""What the engine tells of its work: texts by where the answer came from, tokens, and seconds by stage."""

from prometheus_client import REGISTRY

from models.engine import Engine
from models.settings import ModelsSettings


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_texts_are_counted_once_as_scored_and_then_as_remembered() -> None:
    engine = Engine.load(ModelsSettings())
    names = [("newsquake_models_texts_total", {"by": "forward"}), ("newsquake_models_texts_total", {"by": "cache"})]
    before = [value(name, **labels) for name, labels in names]
    tokens = value("newsquake_models_tokens_total")
    infer = value("newsquake_models_seconds_sum", stage="infer")
    engine.score(["Shares fell sharply.", "Profit rose.", "Profit rose."])
    engine.score(["Profit rose."])
    after = [value(name, **labels) for name, labels in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 2]
    assert 4 < value("newsquake_models_tokens_total") - tokens < 40
    assert value("newsquake_models_seconds_sum", stage="infer") > infer
