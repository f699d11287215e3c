"""Servers as the benchmarks start them, once a session: each run makes topics and databases of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.pipeline.servers import BrokerKind, Servers


@pytest.fixture(scope="session")
def servers(server_dir: Path) -> Iterator[Servers]:
    """PostgreSQL and Tansu."""
    folder = server_dir / "bench"
    folder.mkdir()
    with Servers(folder, BrokerKind.TANSU) as running:
        yield running
