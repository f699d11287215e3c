"""From seconds and answers to figures, and what is counted as work."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.engine.ablation import BASELINE, variants
from bench.engine.batches import padded
from bench.engine.figures import Timings, agreement, fastest, rates, shares, shares_of_classes, times_as_fast
from bench.engine.place import Answers
from bench.engine.rounds import rotated
from bench.engine.work import Shape

SHAPE = Shape(layers=3, width=8, inner=32, heads=2, positions=64, vocabulary=100, classes=5)


def answers(sentiment: list[list[float]], topic: list[list[float]] | None = None) -> Answers:
    """Answers of the given probabilities."""
    return Answers(np.array(sentiment, np.float32), None if topic is None else np.array(topic, np.float32))


def test_a_ratio_is_the_median_of_ratios_within_rounds() -> None:
    assert times_as_fast([1.0, 2.0, 10.0], [3.0, 4.0, 10.0]) == 2.0  # of the medians it would be 2; of the sums 1.3
    assert times_as_fast([1.0, 1.0], [2.0, 4.0]) == 3.0
    with pytest.raises(ValueError, match="zip"):
        times_as_fast([1.0], [1.0, 2.0])


def test_the_fastest_is_that_of_the_shortest_median_round() -> None:
    lucky, steady = Timings([0.1, 9.0, 9.0]), Timings([1.0, 1.0, 1.0])
    assert fastest({"lucky": lucky, "steady": steady}) == "steady"
    assert fastest({}) is None


def test_rates_are_by_the_median_round() -> None:
    found = rates(Timings([1.0, 2.0, 4.0], [0.003, 0.001, 0.002]), documents=8, tokens=100, work=6e9)
    assert found == {
        "docs_per_s": 4.0, "docs_per_s_low": 2.0, "docs_per_s_high": 8.0,
        "tokens_per_s": 50.0, "gflops": 3.0, "single_ms": 2.0,
    }  # fmt: skip


def test_agreement_counts_labels_and_finds_the_largest_difference_of_either_head() -> None:
    right = answers([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], [[0.9, 0.1], [0.4, 0.6]])
    other = answers([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]], [[0.4, 0.6], [0.4, 0.6]])
    assert agreement(right, right) == {"label_agreement": 1.0, "topic_agreement": 1.0, "max_dp": 0.0}
    found = agreement(other, right)
    assert (found["label_agreement"], found["topic_agreement"]) == (0.5, 0.5)
    assert found["max_dp"] == pytest.approx(0.5)
    alone = agreement(answers([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1]]), right)
    assert alone["topic_agreement"] is None
    assert alone["max_dp"] == pytest.approx(0.1)
    assert shares_of_classes(other) == {"sentiment": [1.0, 0.0, 0.0], "topic": [0.0, 1.0]}


def test_work_is_two_operations_for_each_weight_and_token() -> None:
    block = 8 * 24 + 8 * 8 + 8 * 32 + 32 * 8
    assert SHAPE.full(tokens=10, documents=2) == 2 * (3 * block * 10 + 8 * 5 * 2)


def test_the_engines_last_block_needs_key_and_value_of_all_tokens_and_the_rest_of_one_a_text() -> None:
    block, keys = 8 * 24 + 8 * 8 + 8 * 32 + 32 * 8, 8 * 16
    needed = 2 * (2 * block * 10 + keys * 10 + (block - keys) * 2 + 8 * 5 * 2)
    assert SHAPE.pruned(tokens=10, documents=2) == needed
    assert SHAPE.pruned(tokens=2, documents=2) == SHAPE.full(tokens=2, documents=2)


def test_a_share_of_the_ceiling_is_the_median_over_rounds() -> None:
    assert shares([1.0, 2.0, 1.0], 50e9, [100.0, 50.0, 200.0]) == 0.5


def test_a_shape_is_read_from_the_checkpoint(tmp_path: Path) -> None:
    config = {"n_layer": 3, "n_embd": 8, "n_inner": None, "n_head": 2, "n_positions": 64, "vocab_size": 100}
    (tmp_path / "config.json").write_text(json.dumps(config | {"sentiments": ["a", "b", "c"], "topics": ["d", "e"]}))
    assert Shape.read(tmp_path) == SHAPE


def test_every_contender_begins_a_round_in_its_turn() -> None:
    names = ["a", "b", "c"]
    assert [rotated(names, number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert all(sorted(rotated(names, number)) == names for number in range(4))
    assert rotated([], 3) == []


def test_rows_are_padded_on_the_right() -> None:
    ids, lengths = padded([[5, 6], [7], [8, 9, 1]])
    assert ids.tolist() == [[5, 6, 0], [7, 0, 0], [8, 9, 1]]
    assert lengths.tolist() == [2, 1, 3]


def test_an_ablation_leaves_each_transformation_out_once_and_all_of_them_once() -> None:
    found = {peer.name: peer for peer in variants({"pruned": "prunes", "linear": "transposes"})}
    left_out = {name: peer.load.keywords.get("without") for name, peer in found.items()}  # type: ignore[attr-defined]
    assert left_out.pop("without pruned") == ("pruned",)
    assert left_out.pop("without linear") == ("linear",)
    assert left_out.pop("without any") == ("pruned", "linear")
    assert set(left_out.values()) == {None}
    assert BASELINE in found
    assert found["without pruned"].summary == "prunes"
