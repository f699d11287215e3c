"""The pipeline's settings as an operator writes them."""

import pytest

from pipeline.settings import PipelineSettings


def test_limits_on_dead_letters_are_switched_off_by_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (PipelineSettings().dead_letter_run, PipelineSettings().dead_letter_ratio) == (1000, 0.5)
    monkeypatch.setenv("NEWSQUAKE_PIPELINE_DEAD_LETTER_RUN", "none")
    monkeypatch.setenv("NEWSQUAKE_PIPELINE_DEAD_LETTER_RATIO", "none")
    assert (PipelineSettings().dead_letter_run, PipelineSettings().dead_letter_ratio) == (None, None)
