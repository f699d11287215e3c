"""Two people activate two models at once: one of them wins, and each document counts once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, text

from storage.activation import activate
from storage.errors import ActivationOvertaken
from storage.writer import BatchWriter
from tests.storage.rows import NOON, all_recounts, all_rollups, document

DAYS = 4
BATCH = [document(n, at=NOON + timedelta(days=n % DAYS, seconds=n)) for n in range(400)]


@pytest.fixture
def scored(database: Engine) -> Engine:
    """Four hundred documents, scored by models a and b; those of a count."""
    for model in ("a", "b"):
        BatchWriter(database, model).write(BATCH)
    return database


def counted(database: Engine) -> dict[str, int]:
    """How many scores of each model count."""
    query = "SELECT name, count(*) FROM scores JOIN models USING (model_id) WHERE counted GROUP BY name"
    with database.connect() as connection:
        return {str(name): int(count) for name, count in connection.execute(text(query))}


def test_an_activation_stops_where_another_has_overtaken_it(scored: Engine) -> None:
    def overtake(day: date, moved: int) -> None:
        assert moved == 100
        assert activate(scored, "a") == 100

    with pytest.raises(ActivationOvertaken, match="another model was activated"):
        activate(scored, "b", told=overtake)
    assert counted(scored) == {"a": 400}
    assert all_rollups(scored) == all_recounts(scored)
    assert activate(scored, "b") == 400


def test_activations_at_once_leave_one_score_of_each_document_counted(scored: Engine) -> None:
    def work(model: str) -> bool:
        try:
            activate(scored, model)
        except ActivationOvertaken:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert True in list(pool.map(work, "abab"))
    assert sum(counted(scored).values()) == len(BATCH)
    assert all_rollups(scored) == all_recounts(scored)
