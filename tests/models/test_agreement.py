"""Agreement of two labellers, against a table worked out by hand."""

import numpy as np
import pytest

from models.agreement import agreement, cohen_kappa
from models.errors import DataError
from models.rows import MISSING, Row


def test_kappa_takes_off_what_chance_gives() -> None:
    # Cohen's formula by hand: 35 of 50 agree; chance gives (25 * 30 + 25 * 20) / 2500 = 0.5.
    assert cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx((0.7 - 0.5) / 0.5)
    assert cohen_kappa(np.array([[0, 5], [5, 0]])) == pytest.approx(-1.0)
    assert cohen_kappa(np.array([[7, 0], [0, 0]])) == 1.0


def test_rows_are_matched_by_text_whatever_their_order() -> None:
    first = [Row("a", 0, 3), Row("b", 1, 3), Row("c", 2)]
    second = [Row("c", 1, 5), Row("b", 1, 4), Row("a", 0, 3)]
    found = agreement(first, second)
    assert (found["sentiment"].n, found["sentiment"].accuracy) == (3, pytest.approx(2 / 3))
    assert found["sentiment"].as_dict()["confusion"] == {
        "negative": {"negative": 1},
        "neutral": {"neutral": 1},
        "positive": {"neutral": 1},
    }
    assert (found["topic"].n, found["topic"].accuracy) == (2, 0.5)


def test_a_label_that_only_one_file_has_is_left_out() -> None:
    assert set(agreement([Row("a", 0)], [Row("a", 0, 3)])) == {"sentiment"}
    with pytest.raises(DataError, match="no text has a label in both"):
        agreement([Row("a", 0)], [Row("a", MISSING, 3)])


def test_other_texts_cannot_be_compared() -> None:
    with pytest.raises(DataError, match=r"2 texts are in only one .*'b'"):
        agreement([Row("a", 0), Row("b", 0)], [Row("a", 0), Row("c", 0)])
    with pytest.raises(DataError, match="second file holds 1 texts twice"):
        agreement([Row("a", 0)], [Row("a", 0), Row("a", 0)])
