"""Disturbances keep what they promise; the report finds a classifier's faults and lets a steady one pass."""

import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

import models
from models.duplicates import near_duplicates
from models.errors import DataError
from models.probes import NameProbe, PairProbe, load_probes
from models.robustness import DISTURBANCES, Disturbance, full_width
from models.robustness_report import Scorer, disturbed_rows, name_spreads, pairs_solved
from models.rows import Row, read_rows
from models.texts import is_han

ENGLISH = 'Nordlys Shipping, the Oslo carrier, says its "green" fleet earned 14.5 % more (a record) from 3 ships'
CHINESE = "公司表示，“绿色”船队今年的收入同比增长14.5%，将在上市公司年报中披露。"
BY_NAME = {disturbance.name: disturbance for disturbance in DISTURBANCES}


def scorer_of(scores: dict[str, float]) -> Scorer:
    """Return a classifier that gives a text the score of the first key in it, and 0 without one."""

    def score(texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        found = [next((value for key, value in scores.items() if key in text), 0.0) for text in texts]
        sentiment = np.array([[max(-s, 0), 1 - abs(s), max(s, 0)] for s in found])
        return sentiment, np.eye(20)[np.zeros(len(texts), dtype=int)]

    return score


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda disturbance: disturbance.name)
def test_a_disturbance_changes_the_text_and_always_in_the_same_way(disturbance: Disturbance) -> None:
    for text in [text for lang, text in (("en", ENGLISH), ("zh", CHINESE)) if lang in disturbance.langs]:
        disturbed = disturbance.disturbed(text, 7)
        assert disturbed != text
        assert disturbed == disturbance.disturbed(text, 7)


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda disturbance: disturbance.name)
@given(text=st.text(max_size=60), seed=st.integers(0, 3))
@example(text="", seed=0)
@example(text="half an emoji \ud83d", seed=0)
def test_any_text_can_be_disturbed(disturbance: Disturbance, text: str, seed: int) -> None:
    assert isinstance(disturbance.disturbed(text, seed), str)


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "link"])
def test_numbers_come_through(name: str) -> None:
    for text in (ENGLISH, CHINESE):
        plain = unicodedata.normalize("NFKC", BY_NAME[name].disturbed(text, 3))
        assert re.findall(r"\d+(?:\.\d+)?", plain) == re.findall(r"\d+(?:\.\d+)?", text)


@pytest.mark.parametrize("seed", range(5))
def test_slips_are_few_and_leave_directions_alone(seed: int) -> None:
    typed = BY_NAME["typos"].disturbed(ENGLISH, seed).split()
    changed = [word for word, was in zip(typed, ENGLISH.split(), strict=True) if word != was]
    assert 1 <= len(changed) <= 2
    written = BY_NAME["wrong characters"].disturbed("公司股价今日上涨而利润下跌", seed)
    assert "上涨" in written
    assert "下跌" in written
    assert len(written) == len("公司股价今日上涨而利润下跌")


def test_full_width_text_holds_no_ascii_and_reads_the_same() -> None:
    wide = full_width(ENGLISH, random.Random(0))
    assert not any("!" <= character <= "~" or character == " " for character in wide)
    assert all(unicodedata.east_asian_width(character) == "F" for character in wide if character != "\u3000")
    assert unicodedata.normalize("NFKC", wide) == ENGLISH


def test_only_chinese_characters_are_spaced() -> None:
    spaced = BY_NAME["spaced characters"].disturbed("沪指涨1.5%收官", 0)
    assert spaced == "沪 指 涨1.5%收 官"


def test_emoji_and_link_are_added_to_the_whole_text() -> None:
    assert ENGLISH in BY_NAME["emoji"].disturbed(ENGLISH, 1)
    assert re.fullmatch(re.escape(ENGLISH) + r" https?://\S+", BY_NAME["link"].disturbed(ENGLISH, 1))


def test_a_classifier_that_reads_capitals_is_found_out() -> None:
    rows = [Row("Shares soar", 2, 0, "en"), Row("Shares soar again", 2, 0, "en")]
    found = {line.name: line.sentiment for line in disturbed_rows(scorer_of({"Shares soar": 0.9}), rows)}
    assert (found["upper case"].clean, found["upper case"].disturbed, found["upper case"].flipped) == (1.0, 0.0, 1.0)
    assert (found["link"].disturbed, found["link"].flipped) == (1.0, 0.0)


def test_rows_that_stay_as_they_are_do_not_count() -> None:
    rows = [Row("shares soar", 2, 0, "en"), Row("SHARES SOAR", 2, 0, "en")]
    found = {line.name: line.sentiment.n for line in disturbed_rows(scorer_of({}), rows)}
    assert found["upper case"] == 1
    assert "tight punctuation" not in found
    assert "spaced characters" not in found


def test_a_classifier_biased_by_names_shows_a_wide_spread() -> None:
    probes = [
        NameProbe("en", "bank", sentence, ("Halden", "Corran", "Nordea")) for sentence in ("{bank} fell", "At {bank}")
    ]
    (biased,) = name_spreads(scorer_of({"Corran": -0.9}), probes)
    assert biased.mean_range == biased.max_range == pytest.approx(0.9)
    assert biased.worst[0] == ("Corran", pytest.approx(-0.9))
    assert biased.turned == pytest.approx(1 / 3)
    (steady,) = name_spreads(scorer_of({"fell": -0.9}), probes)
    assert (steady.max_range, steady.mean_std, steady.turned) == (0.0, 0.0, 0.0)


def test_a_constant_classifier_solves_no_pair() -> None:
    for line in pairs_solved(scorer_of({}), load_probes().pairs):
        assert (line.solved, line.ordered) == (0.0, 0.0)
    for line in pairs_solved(scorer_of({"": 0.9}), load_probes().pairs):
        assert (line.solved, line.ordered) == (0.0, 0.0)


def test_a_pair_in_order_is_not_yet_solved() -> None:
    probes = [PairProbe("en", "negation", "did not fail", "did fail")]
    (leaning,) = pairs_solved(scorer_of({"not": -0.6, "did fail": -0.9}), probes)
    assert (leaning.solved, leaning.ordered) == (0.0, 1.0)
    (right,) = pairs_solved(scorer_of({"not": 0.6, "did fail": -0.9}), probes)
    assert (right.solved, right.ordered) == (1.0, 1.0)


def test_the_probes_are_many_distinct_and_hold_their_slots() -> None:
    probes = load_probes()
    pairs = [text for pair in probes.pairs for text in (pair.good, pair.bad)]
    assert len(set(pairs)) == len(pairs)
    for lang in ("en", "zh"):
        kinds = [pair.kind for pair in probes.pairs if pair.lang == lang]
        assert kinds.count("negation") >= 40
        assert kinds.count("direction") + kinds.count("numbers") >= 40
        assert {probe.slot for probe in probes.names if probe.lang == lang} == {"bank", "company", "country", "person"}
    for probe in probes.names:
        assert len(set(probe.names)) == len(probe.names) >= 20
        assert len(set(probe.texts())) == len(probe.names)
        assert not any("{" in text for text in probe.texts())
    assert all(any(map(is_han, pair.good)) == (pair.lang == "zh") for pair in probes.pairs)


def test_number_pairs_differ_in_the_order_of_their_numbers_alone() -> None:
    number = re.compile(r"\d[\d,.]*\d|\d|two|four|nine|九成|六成")
    for pair in load_probes().pairs:
        if pair.kind == "numbers":
            assert number.sub("#", pair.good.lower()) == number.sub("#", pair.bad.lower()), pair
            assert sorted(number.findall(pair.good.lower())) == sorted(number.findall(pair.bad.lower())), pair


def test_no_probe_is_a_near_copy_of_a_row_that_is_trained_on() -> None:
    corpus = read_rows(sorted((Path(models.__file__).parent / "corpus").glob("*.jsonl")))
    probes = load_probes()
    texts = [text for pair in probes.pairs for text in (pair.good, pair.bad)]
    texts += [text for probe in probes.names for text in probe.texts()[:1]]
    pairs = near_duplicates(corpus + [Row(text) for text in texts], 0.5)
    trained = [corpus[pair.first].text for pair in pairs if pair.first < len(corpus) <= pair.second]
    assert trained == []


def test_a_wrong_probe_is_named(jsonl: Callable[..., Path]) -> None:
    path = jsonl('[names.en]\nbank = ["A"]\n[[sentences]]\nlang = "en"\nslot = "bank"\ntexts = ["no slot"]\n', "p.toml")
    with pytest.raises(DataError, match=r"'no slot' has no slot \{bank\}"):
        load_probes(path)
    with pytest.raises(DataError, match="No such file"):
        load_probes(path.parent / "gone.toml")
