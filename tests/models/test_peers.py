"""Peers: what they must be able to tell apart, and a clear word when they are not installed."""

import numpy as np
import pytest

from models.errors import DataError
from models.lexicon import compound_scores, in_sentiments
from models.peers import PEERS, require_packages
from models.rows import MISSING, Row


def test_every_peer_answers_every_row(rows: list[Row]) -> None:
    asked = [*rows[:12], Row("", lang="en"), Row("😀", lang="zh")]
    for name, peer in PEERS.items():
        answers = peer(rows, asked)
        assert answers.sentiment.shape == (14, 3), name
        assert answers.topic is None or answers.topic.shape == (14, 20), name
        if answers.probable:
            assert np.allclose(answers.sentiment.sum(1), 1.0), name
        if answers.topic is not None:
            learnt = answers.sentiment[:12].argmax(1) == [row.sentiment for row in rows[:12]]
            assert learnt.mean() > 0.9, name


def test_a_head_without_two_classes_to_learn_gets_even_answers(rows: list[Row]) -> None:
    known = [Row(row.text, row.sentiment, MISSING, row.lang) for row in rows]
    answers = PEERS["tf-idf + linear svm"](known, rows[:4])
    assert answers.topic is not None
    assert np.unique(answers.topic).size == 1


def test_two_classes_give_margins_for_both(rows: list[Row]) -> None:
    known = [row for row in rows if row.sentiment != 1]
    answers = PEERS["tf-idf + linear svm"](known, known)
    assert (answers.sentiment.argmax(1) == [row.sentiment for row in known]).mean() > 0.9
    assert ((answers.score > 0) == [row.sentiment == 2 for row in known]).mean() > 0.9


@pytest.mark.parametrize(
    ("text", "lang", "sign"),
    [
        ("Profit slumped and the outlook is disappointing", "en", -1),
        ("Profit improved and the outlook is excellent", "en", 1),
        ("The meeting is on Friday", "en", 0),
        ("这只股票表现优秀，大家都很满意", "zh", 1),
        ("前景糟糕", "zh", -1),
        ("会议在周五", "", 0),
    ],
)
def test_the_lexicon_reads_plain_words_in_both_languages(text: str, lang: str, sign: int) -> None:
    (compound,) = compound_scores([Row(text, lang=lang)])
    assert np.sign(compound) == sign


def test_finvaders_words_are_in_the_english_lexicon() -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    text = "Net sales fell and margins declined"
    assert SentimentIntensityAnalyzer().polarity_scores(text)["compound"] == 0.0
    assert compound_scores([Row(text, lang="en")])[0] < -0.05


def test_the_thresholds_are_vaders() -> None:
    compound = np.array([-1.0, -0.05, -0.049, 0.0, 0.049, 0.05, 1.0])
    assert in_sentiments(compound).argmax(1).tolist() == [0, 0, 1, 1, 1, 2, 2]


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(DataError, match=r"peers need no_such_peer: pip install 'newsquake\[peers\]'"):
        require_packages(["numpy", "no_such_peer"])
    require_packages()
