"""Which text breaks the classifier: found in few calls, and no text is blamed for what is not its fault."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bisection import score_each


class Counting:
    """A classifier that fails on some texts and counts its calls; a score is the text's length."""

    def __init__(self, *poison: str, error: Exception | None = None, fails_after: int | None = None) -> None:
        self.poison = set(poison)
        self.error = error or ValueError("cannot read this")
        self.fails_after = fails_after
        self.calls: list[list[str]] = []

    def score(self, texts: Sequence[str]) -> list[int]:
        self.calls.append(list(texts))
        if self.poison & set(texts) or (self.fails_after is not None and len(self.calls) > self.fails_after):
            raise self.error
        return [len(text) for text in texts]


@given(st.integers(1, 300), st.data())
def test_every_culprit_is_found_and_everyone_else_is_scored_in_few_calls(size: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, size - 1), max_size=5))
    texts = [f"text {number}" for number in range(size)]
    classifier = Counting(*(texts[number] for number in bad))
    scores = score_each(texts, classifier.score)
    assert [number for number, score in enumerate(scores) if isinstance(score, Exception)] == sorted(bad)
    assert all(score == len(text) for text, score in zip(texts, scores, strict=True) if score is not classifier.error)
    most = 2 * len(bad) * (math.ceil(math.log2(size)) + 1) + 3  # and the batch, and a probe before and after
    assert len(classifier.calls) <= (most if bad else 1)


def test_one_culprit_among_512_costs_21_calls() -> None:
    texts = [str(number) for number in range(512)]
    classifier = Counting("300")
    score_each(texts, classifier.score)
    assert len(classifier.calls) == 1 + 2 * 9 + 2


def test_no_texts_are_no_call() -> None:
    classifier = Counting()
    assert score_each([], classifier.score) == []
    assert classifier.calls == []


def test_a_text_alone_is_blamed_only_after_it_failed_twice_while_the_classifier_works() -> None:
    classifier = Counting("poison")
    assert score_each(["poison"], classifier.score) == [classifier.error]
    assert [call == ["poison"] for call in classifier.calls] == [True, False, True, False]


@pytest.mark.parametrize("texts", [["a"], ["a", "b", "c"]])
def test_a_classifier_that_fails_on_the_probe_is_broken_and_found_out_in_two_calls(texts: list[str]) -> None:
    classifier = Counting(fails_after=0)
    with pytest.raises(ValueError, match="cannot read this"):
        score_each(texts, classifier.score)
    assert len(classifier.calls) == 2


def test_a_classifier_that_breaks_during_the_search_blames_no_text() -> None:
    classifier = Counting("b", fails_after=3)
    with pytest.raises(ValueError, match="cannot read this"):
        score_each(["a", "b", "c", "d"], classifier.score)


def test_no_probe_is_used_twice_since_a_classifier_may_remember() -> None:
    classifier = Counting("poison")
    score_each(["poison"], classifier.score)
    score_each(["poison"], classifier.score)
    probes = [call[0] for call in classifier.calls if call != ["poison"]]
    assert len(set(probes)) == len(probes) == 4


def test_a_fault_of_the_moment_blames_nobody() -> None:
    class Once(Counting):
        def score(self, texts: Sequence[str]) -> list[int]:
            if not self.calls:
                self.calls.append(list(texts))
                raise RuntimeError("a hiccup")
            return super().score(texts)

    assert score_each(["a", "bb"], Once().score) == [1, 2]


class OutOfMemoryError(RuntimeError):
    """As a framework names it."""


@pytest.mark.parametrize("error", [MemoryError("no room"), OutOfMemoryError("no room"), OSError("no room")])
def test_want_of_memory_is_no_texts_fault_though_it_alone_meets_it(error: Exception) -> None:
    with pytest.raises(type(error), match="no room"):
        score_each(["a", "long", "c"], Counting("long", error=error).score)


def test_a_batch_too_large_for_the_memory_is_scored_in_halves() -> None:
    class Small(Counting):
        def score(self, texts: Sequence[str]) -> list[int]:
            if len(texts) > 2:
                raise OutOfMemoryError
            return super().score(texts)

    assert score_each(["a", "bb", "ccc", "dddd"], Small().score) == [1, 2, 3, 4]
