"""Rows from sentence patterns: each pattern's slots are filled a few times with invented names and numbers.

The patterns teach what a few thousand written rows cannot: that a sentence keeps its class whatever the company is
called, and that "from 8.7 to 13.1" and "from 13.1 to 8.7" are opposites.
"""

import random
import re
import tomllib
from pathlib import Path
from typing import Any

from models.errors import DataError
from models.labels import sentiment_index, topic_index
from models.rows import Row

_SLOT = re.compile(r"\{(\w+)\}")


def fill_patterns(path: Path, times: int, seed: int) -> list[Row]:
    """Return `times` distinct rows or fewer for every sentence pattern of the file; the same seed gives the same rows.

    Raises:
        DataError: the file is missing, or a pattern names a slot or label that is not there.
    """
    try:
        book = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    rng = random.Random(seed)
    rows: dict[Row, None] = {}
    for pattern in book["pattern"]:
        slots = book["slots"][pattern["lang"]]
        sentiment, topic = sentiment_index(pattern["sentiment"]), topic_index(pattern["topic"])
        for sentence in pattern["texts"]:
            for _ in range(times):
                rows[Row(_filled(sentence, slots, rng), sentiment, topic, pattern["lang"])] = None
    return list(rows)


def _filled(sentence: str, slots: dict[str, Any], rng: random.Random) -> str:
    small, big = _two_numbers(rng)
    numbers = {"small": small, "big": big}

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name in numbers:
            return numbers[name]
        if name == "one":
            return str(rng.randint(1, 9))
        if name == "pct":
            return rng.choice([str(rng.randint(10, 99)), f"{rng.uniform(10, 99):.1f}", f"{rng.uniform(1, 99):.2f}"])
        if name == "code":
            return f"{rng.choice(['60', '00', '30'])}{rng.randint(0, 9999):04d}"
        if name not in slots:
            raise DataError(f"pattern {sentence!r} names the unknown slot {{{name}}}")
        return str(rng.choice(slots[name]))

    return _SLOT.sub(fill, sentence)


def _two_numbers(rng: random.Random) -> tuple[str, str]:
    digits = rng.choice([0, 1, 1, 2])
    small = rng.uniform(1, 80)
    return f"{small:.{digits}f}", f"{small * rng.uniform(1.15, 4) + 1:.{digits}f}"
