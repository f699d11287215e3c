"""Which texts are measured."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engine.texts import Texts, draw, evenly, files
from bench.errors import BenchUsage


def write(path: Path, texts: list[object]) -> Path:
    """Write rows with the given texts, plain or gzip by the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@given(st.lists(st.lists(st.text("abc", min_size=1, max_size=3), max_size=30), max_size=4), st.integers(0, 60))
def test_a_draw_has_no_text_twice_and_as_many_as_there_are(sources: list[list[str]], count: int) -> None:
    drawn = evenly(sources, count, seed=1)
    different = {text for source in sources for text in source}
    assert len(drawn) == len(set(drawn)) == min(count, len(different))
    assert set(drawn) <= different


def test_a_draw_is_even_by_source_and_short_sources_give_what_they_have() -> None:
    sources = [[f"{name}{number}" for number in range(size)] for name, size in (("a", 1000), ("b", 1000), ("c", 10))]
    drawn = evenly(sources, 110, seed=2)
    assert [sum(text.startswith(name) for text in drawn) for name in "abc"] == [50, 50, 10]
    assert drawn == evenly(sources, 110, seed=2) != evenly(sources, 110, seed=3)


def test_the_corpus_is_drawn_in_both_languages_with_singles_of_its_own() -> None:
    texts = draw(None, 200, 50)
    assert (len(texts.batch), len(texts.singles)) == (200, 50)
    assert len({*texts.batch, *texts.singles}) == 250
    assert min(texts.languages().values()) > 40
    assert texts == draw(None, 200, 50)
    assert texts.head(20) == Texts(texts.batch[:20], texts.singles)


def test_in_a_folder_the_streams_come_first(tmp_path: Path) -> None:
    other = write(tmp_path / "other.jsonl", ["x"])
    assert files(tmp_path) == [other]
    stream = write(tmp_path / "streams" / "news.jsonl.gz", ["y", "z"])
    assert files(tmp_path) == [stream]
    assert sorted(draw(tmp_path, 1, 1).batch + draw(tmp_path, 1, 1).singles) == ["y", "z"]


def test_few_texts_are_shared_out_between_batch_and_singles(tmp_path: Path) -> None:
    texts = draw(write(tmp_path / "few.jsonl", [f"text {number}" for number in range(32)]), 1000, 60)
    assert (len(texts.batch), len(texts.singles)) == (30, 2)


def test_blank_texts_and_lone_surrogates_are_left_out(tmp_path: Path) -> None:
    texts = draw(write(tmp_path / "odd.jsonl", ["", "  ", "\ud800", "a", "b", "a"]), 10, 1)
    assert sorted(texts.batch + texts.singles) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("one.jsonl", b'{"text": "a"}\n{"text": "a"}\n', "fewer than two different texts"),
        ("broken.jsonl", b'{"text": "a"}\n{"text": \n', "line 2"),
        ("field.jsonl", b'{"title": "a"}\n', "line 1"),
        ("number.jsonl", b'{"text": 7}\n', "line 1"),
        ("plain.jsonl.gz", b'{"text": "a"}\n', "not JSONL"),
    ],
)
def test_what_cannot_be_read_is_told_with_file_and_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BenchUsage, match=f"{name}.*{says}"):
        draw(path, 10, 2)


def test_a_folder_without_rows_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchUsage, match=r"no such file, and no folder with \.jsonl"):
        draw(tmp_path / "nothing", 10, 2)
