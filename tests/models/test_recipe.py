"""Recipes, sentence patterns, the tokenizer's normalisation and the teacher's file format."""

import gzip
import json
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from models.batches import cropped
from models.errors import DataError, ModelError
from models.labels import SENTIMENTS, TOPICS
from models.patterns import fill_patterns
from models.recipe import Source, gather_rows, load_recipe
from models.rows import read_rows
from models.settings import SHIPPED_CHECKPOINT
from models.teacher import _unpack_q4, load_teacher
from models.tokens import common_characters

CORPUS = SHIPPED_CHECKPOINT.parents[1] / "corpus"


def test_the_shipped_recipe_names_the_corpus_that_comes_with_it(tmp_path: Path) -> None:
    recipe = load_recipe("default")
    own = {source.path for source in recipe.sources if source.path.startswith("corpus/")}
    assert own == {f"corpus/{path.name}" for path in CORPUS.iterdir() if path.suffix in (".jsonl", ".toml")}
    with pytest.raises(DataError, match="No such file"):
        gather_rows(recipe, tmp_path)


def test_the_corpus_is_as_large_as_its_card_says() -> None:
    rows = read_rows(sorted(CORPUS.glob("*.jsonl")))
    assert len(rows) >= 6000
    assert sum(row.lang == "zh" for row in rows) >= 3500
    combinations = {(row.topic, row.sentiment) for row in rows}
    assert len(combinations) == len(TOPICS) * len(SENTIMENTS)


def test_unlabelled_texts_are_drawn_once_each_and_again_alike(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    with gzip.open(tmp_path / "texts.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"text": f"text {number % 40}"}) + "\n" for number in range(200))
    source = Source("texts.jsonl.gz", sample=30)
    recipe = replace(load_recipe("default"), sources=(source,))
    rows = gather_rows(recipe, tmp_path)
    assert len({row.text for row in rows.train}) == len(rows.train) == 30
    assert not any(rows.taught) and not rows.test
    assert gather_rows(recipe, tmp_path).train == rows.train


def test_a_recipe_with_an_unknown_field_is_refused(jsonl: Callable[..., Path]) -> None:
    path = jsonl("[data]\ntest = 1\nheld_back = 1\nfiles = []\n[student]\nsize = 3\n", "own.toml")
    with pytest.raises(DataError, match=r"own\.toml"):
        load_recipe(str(path))


def test_every_row_of_the_corpus_carries_both_labels() -> None:
    rows = read_rows(sorted(CORPUS.glob("*.jsonl")))
    assert all(row.sentiment >= 0 and row.topic >= 0 and row.lang in ("en", "zh") for row in rows)


def test_patterns_cover_every_class_and_repeat_with_the_seed() -> None:
    rows = fill_patterns(CORPUS / "patterns.toml", 2, seed=1)
    assert {row.topic for row in rows} == set(range(len(TOPICS)))
    assert {row.sentiment for row in rows} == set(range(len(SENTIMENTS)))
    assert not [row.text for row in rows if "{" in row.text]
    assert rows == fill_patterns(CORPUS / "patterns.toml", 2, seed=1)


def test_a_crop_is_a_span_of_its_text() -> None:
    rng = random.Random(2)
    for text in ("a", "海川股份净利大幅下滑", "Savers queue as a bank caps withdrawals"):
        crops = [cropped(text, rng) for _ in range(20)]
        assert all(crop and crop in text for crop in crops)
        assert max(map(len, crops)) <= max(1, 0.8 * len(text))


def test_a_pattern_with_an_unknown_slot_is_named(jsonl: Callable[..., Path]) -> None:
    pattern = '[slots.en]\n[[pattern]]\nlang="en"\ntopic="ipo"\nsentiment="neutral"\ntexts=["{who} lists"]\n'
    with pytest.raises(DataError, match=r"unknown slot \{who\}"):
        fill_patterns(jsonl(pattern, "p.toml"), 1, seed=1)


def test_full_width_forms_links_and_case_make_no_difference(tokenizer: PreTrainedTokenizerFast) -> None:
    def ids(text: str) -> list[int]:
        return list(tokenizer(text)["input_ids"])

    assert ids("ＡＬＤＥＲ Foods！ https://t.co/abc") == ids("alder foods!")
    assert ids("净利 44%") == ids("净利44％")
    assert tokenizer.convert_ids_to_tokens(ids("2024"))[:4] == ["2", "0", "2", "4"]
    assert ids("") == [tokenizer.eos_token_id]


def test_common_characters_are_those_of_the_first_level() -> None:
    characters = common_characters()
    assert len(characters) == 3755
    assert characters[0] == "啊"
    assert {"跌", "涨", "债", "银"} <= set(characters)


def test_four_bit_blocks_unpack_low_nibbles_first() -> None:
    block = struct.pack("<e16B", 0.5, *([0x9F] + [0x88] * 15))
    weights = _unpack_q4(block)
    assert weights[[0, 16, 1]] == pytest.approx(np.array([3.5, 0.5, 0.0]))
    assert len(weights) == 32


def test_another_file_is_not_taken_for_the_teacher(jsonl: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="not a packed e5 model"):
        load_teacher(jsonl("GGUF", "teacher.bin"))
