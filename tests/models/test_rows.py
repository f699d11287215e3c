"""Reading, checking and splitting labelled rows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import DataError
from models.labels import SENTIMENTS, TOPIC_NAMES, TOPICS, sentiment_index, topic_index
from models.rows import MISSING, Row, read_rows, split_rows

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
    assert second == Row("t\nb", MISSING, TOPICS.index("ipo"), "en")


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
    ],
)
def test_a_wrong_row_is_named_by_its_line(jsonl: Writer, content: str, complaint: str) -> None:
    with pytest.raises(DataError) as caught:
        read_rows([jsonl(content)])
    assert complaint in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jsonl: No such file"):
        read_rows([tmp_path / "gone.jsonl"])


def test_near_copies_fall_on_one_side_of_the_split() -> None:
    texts = [f"story {number}" for number in range(300)]
    kept, held = split_rows([Row(t) for t in texts] + [Row(f" {t.upper()}!") for t in texts], 20)
    assert len(kept) + len(held) == 600
    assert 60 <= len(held) <= 180
    assert {row.text.strip(" !").lower() for row in kept}.isdisjoint(row.text.strip(" !").lower() for row in held)
