"""Top terms: what sets the texts of a spike apart from those before it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.terms import terms_of, top_terms

BEFORE = [
    "Merrowdale Bank opens a branch in the north",
    "Merrowdale Bank raises its dividend by a tenth",
    "Shares of lenders little changed ahead of the minutes",
    "Corvane says orders for trucks held up in spring",
    "The regulator publishes its yearly report on lenders",
] * 6
RUN = [
    "Queue at the branch, Merrowdale Bank is out of cash",
    "I can't withdraw money from Merrowdale Bank, out of cash they say",
    "out of cash! https://example.com/cash/machine @teller the queue at Merrowdale goes round the block",
    "Bank run: people queue at the branch since six, cash machines empty",
    "Is the deposit insurance enough? Cash machines empty here",
]
EARLIER = ["银行今日发布理财产品", "多家银行下调存款利率", "银行间市场流动性保持合理充裕", "某银行获准设立理财公司"] * 8
PANIC = [
    "储户排队取款，网点现金不足",
    "多地网点出现挤兑，储户排队取款",
    "取款受限！储户排队取款到深夜",
    "挤兑传闻下现金不足",
]


def test_what_is_said_now_and_was_not_before_comes_first() -> None:
    found = top_terms(RUN, BEFORE)
    assert found[0] in ("cash", "queue") and {"cash", "queue"} <= set(found) | {
        word for t in found for word in t.split()
    }
    assert not any("merrowdale" in term for term in found), "it was named before, too"


def test_a_phrase_stands_for_its_words() -> None:
    found = top_terms(["margin call again"] * 4, BEFORE)
    assert found[0] == "margin call" and "margin" not in found


def test_chinese_terms_are_the_longest_that_explain_their_parts() -> None:
    found = top_terms(PANIC, EARLIER)
    assert "储户排队取款" in found and "现金不足" in found and "挤兑" in found
    assert "排队" not in found


def test_both_languages_side_by_side() -> None:
    assert terms_of("硅谷银行 bank run 来了") >= {"硅谷银行", "bank run", "run"}


def test_links_handles_numbers_and_control_characters_are_no_terms() -> None:
    assert terms_of("see https://evil.example/x\u202e @bot 1234 12.5% \x1bred\x07 $ACME's") == {"red", "acme"}


@pytest.mark.parametrize(("found", "earlier"), [([], BEFORE), (RUN, []), (["one text"], BEFORE)])
def test_nothing_to_compare_is_no_terms(found: list[str], earlier: list[str]) -> None:
    assert top_terms(found, earlier) == []


def test_the_same_texts_have_no_terms() -> None:
    assert top_terms(BEFORE, BEFORE) == []


@given(st.randoms(use_true_random=False))
def test_the_order_of_texts_does_not_matter(chance: random.Random) -> None:
    found, earlier = list(RUN), list(BEFORE)
    chance.shuffle(found)
    chance.shuffle(earlier)
    assert top_terms(found, earlier) == top_terms(RUN, BEFORE)


@given(st.lists(st.text(max_size=60), min_size=2, max_size=20))
def test_a_word_in_every_text_and_never_before_is_told(texts: list[str]) -> None:
    found = top_terms([f"{text} . zugzwang . " for text in texts], ["calm seas"] * 40)
    assert "zugzwang" in found
    assert all(term.isprintable() for term in found)
