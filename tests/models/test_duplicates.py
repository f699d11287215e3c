"""Near-duplicates: what counts as one, none lost to the index, and a corpus that is nearly free of them."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from models.duplicates import NearPair, _grams, near_duplicates, share_with_duplicate
from models.rows import Row, read_rows

WORDS = st.lists(st.sampled_from(["up", "down", "bank", "oil", "rate", "银", "行", "跌"]), min_size=1, max_size=12)


def test_a_sentence_in_other_punctuation_is_the_same() -> None:
    rows = [Row("Savers queue, as Halden Bank caps withdrawals!"), Row("SAVERS QUEUE as Halden Bank caps withdrawals")]
    assert near_duplicates(rows, 0.6) == [NearPair(0, 1, 1.0)]


def test_a_changed_word_leaves_the_grams_that_do_not_hold_it() -> None:
    rows = [Row("one two three four five six seven eight"), Row("one two three four five six seven NINE")]
    (pair,) = near_duplicates(rows, 0.6)
    assert pair.overlap == pytest.approx(3 / 5)
    assert near_duplicates(rows, 0.61) == []


def test_chinese_is_cut_into_characters_and_so_are_short_texts() -> None:
    chinese = [Row("海川股份上半年净利润下滑"), Row("海川股份上半年净利润下滑。"), Row("央行今日开展逆回购操作")]
    assert [(pair.first, pair.second) for pair in near_duplicates(chinese, 0.6)] == [(0, 1)]
    short = [Row("Dividend raised again"), Row("Dividend raised again!!"), Row("Dividend cut again")]
    assert [(pair.first, pair.second) for pair in near_duplicates(short, 0.6)] == [(0, 1)]


def test_texts_of_signs_alone_are_equal_only_to_themselves() -> None:
    assert near_duplicates([Row("🚀🚀"), Row("🚀🚀"), Row("!!!")], 0.6) == [NearPair(0, 1, 1.0)]


def test_the_share_counts_rows_and_not_pairs() -> None:
    pairs = near_duplicates([Row("same words all over here")] * 3 + [Row("quite another sentence than those")], 0.6)
    assert len(pairs) == 3
    assert share_with_duplicate(pairs, 4) == 0.75


@given(st.lists(WORDS, min_size=2, max_size=12), st.sampled_from([0.2, 0.5, 0.6, 0.8, 1.0]))
def test_the_index_loses_no_pair(texts: list[list[str]], threshold: float) -> None:
    rows = [Row(" ".join(words)) for words in texts]
    grams = [_grams(row) for row in rows]
    expected = {
        (first, second)
        for second in range(len(rows))
        for first in range(second)
        if len(grams[first] & grams[second]) / len(grams[first] | grams[second]) >= threshold
    }
    assert {(pair.first, pair.second) for pair in near_duplicates(rows, threshold)} == expected


def test_the_committed_corpus_hardly_repeats_itself() -> None:
    rows = read_rows(sorted((Path(models.__file__).parent / "corpus").glob("*.jsonl")))
    started = time.perf_counter()
    pairs = near_duplicates(rows, 0.6)
    assert time.perf_counter() - started < 20
    assert share_with_duplicate(pairs, len(rows)) < 0.02, [rows[pair.first].text for pair in pairs[:10]]
