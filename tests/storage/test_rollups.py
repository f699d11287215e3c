"""Rollups against a recount: duplicates, late rows, several models, several workers at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import Engine, text

from storage.activation import activate
from storage.errors import UnknownModel
from storage.writer import BatchWriter, ScoredDocument
from tests.storage.rows import NOON, SENTIMENTS, all_recounts, all_rollups, document, rollups, stored


def rescored(numbers: Sequence[int], *, shift: int = 1) -> list[ScoredDocument]:
    """The same documents as another model sees them: another sentiment, another topic."""
    found = []
    for number in numbers:
        sentiment = SENTIMENTS[(number + shift) % 3]
        shares = {name: 0.6 if name == sentiment else 0.2 for name in SENTIMENTS}
        found.append(replace(document(number), topic="ipo", sentiment=sentiment, **shares))
    return found


def counts(database: Engine, query: str) -> list[int]:
    with database.connect() as connection:
        return list(connection.execute(text(query)).one())


def check(database: Engine) -> None:
    assert all_rollups(database) == all_recounts(database)
    once = "SELECT count(*), count(DISTINCT key) FROM scores WHERE counted"
    assert counts(database, once) == [stored(database)] * 2, "each document counts once"


def test_every_rollup_follows_a_batch_over_days(database: Engine) -> None:
    batch = [document(n, at=NOON + timedelta(hours=5 * n), source=f"s{n % 4}") for n in range(60)]
    BatchWriter(database, "m").write(batch)
    check(database)
    assert all(len(rows) for rows in all_rollups(database).values())


def test_another_model_is_kept_beside_the_first_and_does_not_count(database: Engine) -> None:
    BatchWriter(database, "a").write([document(n) for n in range(40)])
    before = all_rollups(database)
    other = BatchWriter(database, "b")
    assert other.write(rescored(range(20, 60))) == 20, "new documents count at once, whoever scores them"
    check(database)
    assert counts(database, "SELECT count(*), count(DISTINCT key) FROM scores") == [80, 60]
    assert other.write(rescored(range(20, 60))) == 0
    assert counts(database, "SELECT count(*), count(DISTINCT key) FROM scores") == [80, 60]
    assert all_rollups(database) != before


def test_the_active_model_takes_over_what_another_counted(database: Engine) -> None:
    BatchWriter(database, "a").write([document(1)])
    BatchWriter(database, "b").write(rescored(range(2, 30)))
    BatchWriter(database, "a").write([document(n) for n in range(40)])
    check(database)
    with database.connect() as connection:
        topics = connection.execute(text("SELECT DISTINCT topic FROM sentiment_minute WHERE n > 0")).scalars()
        assert "ipo" not in set(topics)


def test_a_score_goes_to_the_day_under_which_the_document_is_stored(database: Engine) -> None:
    BatchWriter(database, "a").write([document(1)])
    moved = replace(rescored([1])[0], published_at=NOON + timedelta(days=9))
    assert BatchWriter(database, "b").write([moved]) == 0
    assert counts(database, "SELECT count(*), count(DISTINCT published_at) FROM scores") == [2, 1]


def test_activating_a_model_moves_what_it_has_scored(database: Engine) -> None:
    BatchWriter(database, "a").write([document(n, at=NOON + timedelta(hours=n)) for n in range(60)])
    BatchWriter(database, "b").write([replace(found, published_at=NOON) for found in rescored(range(30, 50))])
    assert activate(database, "b") == 20
    check(database)
    assert activate(database, "b") == 0
    BatchWriter(database, "b").write(rescored(range(10)))
    check(database)
    assert activate(database, "a") == 30
    check(database)
    assert "ipo" not in {row[1] for row in rollups(database)}


def test_a_model_that_nobody_knows_cannot_be_activated(database: Engine) -> None:
    BatchWriter(database, "a").write([document(1)])
    with pytest.raises(UnknownModel, match="there are: a"):
        activate(database, "b")


def test_two_models_that_start_at_once_make_one_of_them_active(database: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: BatchWriter(database, f"m{n}").write([document(n)]), range(4)))
    assert counts(database, "SELECT count(*), count(*) FILTER (WHERE active) FROM models") == [4, 1]


batches = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 40), st.integers(-3, 3)), min_size=1, max_size=25),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(batches, min_size=1, max_size=3), switch=st.booleans())
def test_rollups_are_a_recount_whatever_is_delivered_by_whomever(
    database: Engine, rounds: list[list[tuple[str, bool, list[tuple[int, int]]]]], switch: bool
) -> None:
    """Numbers repeat within and between batches; the other number makes a message late or early by hours.

    Every other writer has just stored a batch of its own, and so expects that the next is new as well.
    """
    others = count(1000)
    with database.begin() as connection:
        connection.execute(
            text(
                "TRUNCATE document_keys, documents, scores, index_queue, sentiment_minute, sentiment_hour,"
                " sentiment_day, source_hour, entity_minute, models"
            )
        )

    def write(work: tuple[str, bool, list[tuple[int, int]]]) -> int:
        model, hopeful, numbers = work
        writer = BatchWriter(database, model, patience=1)
        if hopeful:
            assert writer.write([document(next(others))]) == 1
        made = [document(n) if model == "a" else rescored([n])[0] for n, _ in numbers]
        late = [
            replace(found, published_at=found.published_at - timedelta(hours=9 * hours))
            for found, (_, hours) in zip(made, numbers, strict=True)
        ]
        return writer.write(late)

    with ThreadPoolExecutor(4) as pool:
        for concurrent in rounds:
            new = sum(pool.map(write, concurrent))
            assert new <= stored(database)
            if switch:
                activate(database, concurrent[-1][0])
            check(database)
    numbers = {n for concurrent in rounds for _, _, work in concurrent for n, _ in work}
    assert stored(database) == len(numbers) + sum(hopeful for concurrent in rounds for _, hopeful, _ in concurrent)
