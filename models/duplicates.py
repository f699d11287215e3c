"""Near-duplicates among rows: pairs whose sets of 5-grams overlap, by Jaccard's measure.

English texts are cut into words and Chinese ones into characters; a text shorter than five words is cut into
characters too, since it has no 5-gram of words. An inverted index finds the pairs: two sets that overlap by `threshold`
share one of the rarest grams of each (prefix filter of Chaudhuri et al. 2006, Bayardo et al. 2007), so that only those
are looked up, and thousands of rows take a second.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.rows import Row
from models.texts import written_in

_GRAM = 5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two rows, by their positions, and how far they overlap (1.0 for the same words in other punctuation)."""

    first: int
    second: int
    overlap: float


def near_duplicates(rows: Sequence[Row], threshold: float) -> list[NearPair]:
    """Return every pair of rows that overlap by `threshold` (above 0) or more, closest first."""
    grams = [_grams(row) for row in rows]
    frequency = Counter(gram for held in grams for gram in held)
    index: dict[str, list[int]] = defaultdict(list)
    pairs = []
    for second in range(len(rows)):
        rarest = sorted(grams[second], key=lambda gram: (frequency[gram], gram))
        # Two sets that share t of their union share at least t of the larger one: if none of its rarest
        # |x| - ceil(t |x|) + 1 grams is shared, too few are left.
        prefix = rarest[: len(rarest) - _ceil(threshold * len(rarest)) + 1]
        for first in dict.fromkeys(row for gram in prefix for row in index[gram]):
            overlap = len(grams[first] & grams[second]) / len(grams[first] | grams[second])
            if overlap >= threshold:
                pairs.append(NearPair(first, second, overlap))
        for gram in prefix:
            index[gram].append(second)
    return sorted(pairs, key=lambda pair: (-pair.overlap, pair.first, pair.second))


def share_with_duplicate(pairs: Sequence[NearPair], rows: int) -> float:
    """Return the share of the rows that stand in at least one pair."""
    return len({row for pair in pairs for row in (pair.first, pair.second)}) / rows


def _grams(row: Row) -> frozenset[str]:
    text = unicodedata.normalize("NFKC", row.text).casefold()
    words = _WORD.findall(text)
    if len(words) >= _GRAM and written_in(text) == "en":
        return frozenset(" ".join(gram) for gram in _windows(words))
    letters = "".join(words) or text.strip()
    return frozenset("".join(gram) for gram in _windows(letters)) if len(letters) >= _GRAM else frozenset([letters])


def _windows(units: Sequence[str]) -> Iterator[Sequence[str]]:
    return (units[at : at + _GRAM] for at in range(len(units) - _GRAM + 1))


def _ceil(value: float) -> int:
    # 0.6 * 5 is a hair above 3 in binary: rounding first keeps such sizes from losing a pair.
    return -int(-round(value, 9) // 1)
