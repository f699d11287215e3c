"""The topics of a test under the name that tests of this folder use."""

import pytest

from pipeline.settings import PipelineSettings


@pytest.fixture
def settings(pipeline: PipelineSettings) -> PipelineSettings:
    """Fresh topics and a consumer group of the test's own."""
    return pipeline
