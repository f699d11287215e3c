"""Reading, checking and splitting labelled rows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import DataError
from models.labels import SENTIMENTS, TOPIC_NAMES, TOPICS, sentiment_index, topic_index
from models.rows import MISSING, Row, read_rows, split_rows, topics_in

Writer = Callable[..., Path]


def test_topics_keep_the_order_of_their_source() -> None:
    assert TOPICS[:3] == ("analyst_update", "central_banks", "company_product")
    assert TOPICS[-1] == "stock_movement"
    assert len(TOPICS) == 20


def test_a_topic_is_read_by_id_and_by_display_name() -> None:
    assert topic_index("mergers") == topic_index("M&A / Investments") == TOPICS.index("mergers")
    assert [topic_index(name) for name in TOPIC_NAMES.values()] == list(range(20))
    assert [sentiment_index(name.upper()) for name in SENTIMENTS] == [0, 1, 2]


def test_either_label_may_be_missing(jsonl: Writer) -> None:
    path = jsonl(
        '{"text": "a", "sentiment": "negative"}\n\n{"text": "b", "title": "t", "topic": "IPO", "lang": "en"}\n'
    )
    first, second = read_rows([path])
    assert first == Row("a", 0, MISSING, "")
    assert second == Row("t. b", MISSING, TOPICS.index("ipo"), "en")


def test_csv_with_a_header_is_read(jsonl: Writer) -> None:
    path = jsonl('text,sentiment,topic\n"up, and away",positive,\n', "rows.csv")
    assert read_rows([path]) == [Row("up, and away", 2, MISSING, "")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no rows"),
        ('{"text": "a", "sentiment": "bad"}', "rows.jsonl:1: unknown sentiment 'bad'"),
        ('{"text": "a"}\n{"text": "b", "topic": "sport"}', "rows.jsonl:2: unknown topic 'sport'"),
        ('{"text": "a", "topic": 3}', "label 3 is not a string"),
        ('{"text": " "}', "`text` is missing or empty"),
        ("[1]", "expected a JSON object, found list"),
        ("{", "rows.jsonl:1: not JSON"),
        ("[" * 100_000, "rows.jsonl:1: not JSON"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(jsonl: Writer, content: str, complaint: str) -> None:
    with pytest.raises(DataError) as caught:
        read_rows([jsonl(content)])
    assert complaint in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jsonl: No such file"):
        read_rows([tmp_path / "gone.jsonl"])


def test_a_file_that_is_not_utf_8_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "gbk.jsonl"
    path.write_bytes(b'{"text": "a"}\n' * 3000 + '{"text": "净利"}\n'.encode("gbk"))
    with pytest.raises(DataError, match=r"gbk\.jsonl: not UTF-8 \(line 3001, byte 11\): convert"):
        read_rows([path])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("body,topic\na,ipo\n", "rows.csv:1: no column `text` among body, topic"),
        ("text,topic\nup, and away,ipo\n", "rows.csv:2: more fields than columns"),
        ('text,topic\n"a" b,ipo\n', "not CSV"),
        (f"text\n{'x' * 200_000}\n", "not CSV"),
        ("text,topic\na,sport\n", "rows.csv:2: unknown topic 'sport': use one of analyst_update, "),
        ("", "no rows"),
        ("text,topic\n", "no rows"),
    ],
)
def test_a_csv_file_that_cannot_be_meant_is_refused(jsonl: Writer, content: str, complaint: str) -> None:
    with pytest.raises(DataError) as caught:
        read_rows([jsonl(content, "rows.csv")])
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_half_a_character_becomes_a_whole_one(jsonl: Writer) -> None:
    assert read_rows([jsonl('{"text": "a\\ud800b"}')]) == [Row("a?b")]


def test_own_topics_are_those_the_files_name(jsonl: Writer) -> None:
    one = jsonl('{"text": "a", "topic": "信用风险"}\n{"text": "b", "topic": " Rates "}\n{"text": "c"}\n')
    two = jsonl("text,topic\nd,rates\ne,Alpha\n", "two.csv")
    topics = topics_in([one, two])
    assert topics == ("Alpha", "Rates", "信用风险")
    assert [row.topic for row in read_rows([one, two], topics)] == [2, 1, MISSING, 1, 0]
    with pytest.raises(DataError, match=r"rows.jsonl:2: unknown topic ' Rates ': use one of x, y"):
        read_rows([one], ("x", "y", "信用风险"))


@pytest.mark.parametrize(
    ("topic", "complaint"),
    [
        ('"   "', "has 0 characters"),
        (f'"{"长" * 81}"', "has 81 characters"),
        ('"a\\tb"', "control characters"),
        ('"a\\ud800"', "control characters"),
        ("7", "label 7 is not a string"),
    ],
)
def test_a_topic_that_cannot_be_stored_is_named_by_its_line(jsonl: Writer, topic: str, complaint: str) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:2: ") as caught:
        topics_in([jsonl(f'{{"text": "a"}}\n{{"text": "b", "topic": {topic}}}')])
    assert complaint in str(caught.value)
    assert topics_in([jsonl(f'{{"text": "a", "topic": "{"长" * 80}"}}')]) == ("长" * 80,)


def test_near_copies_fall_on_one_side_of_the_split() -> None:
    texts = [f"story {number}" for number in range(300)]
    kept, held = split_rows([Row(t) for t in texts] + [Row(f" {t.upper()}!") for t in texts], 20)
    assert len(kept) + len(held) == 600
    assert 60 <= len(held) <= 180
    assert {row.text.strip(" !").lower() for row in kept}.isdisjoint(row.text.strip(" !").lower() for row in held)
