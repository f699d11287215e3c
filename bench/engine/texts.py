"""Which texts are measured: real lengths, English and Chinese, evenly by file, none twice."""

import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchUsage
from models.texts import written_in

CORPUS = Path(__file__).parents[2] / "models" / "corpus"
"""Written for the project and installed with it: what is measured where no other texts are named."""

SEED = 20260310


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a run."""

    batch: list[str]
    """Scored together in every round."""
    singles: list[str]
    """Scored one at a time; none of them is in the batch."""

    def head(self, count: int) -> "Texts":
        """The same with at most `count` texts in the batch."""
        return Texts(self.batch[:count], self.singles)

    def languages(self) -> dict[str, int]:
        """How many texts of the batch are in English and in Chinese."""
        found = [written_in(text) for text in self.batch]
        return {language: found.count(language) for language in sorted(set(found))}


def draw(place: Path | None, count: int, singles: int, seed: int = SEED) -> Texts:
    """Draw `count` texts for the batch and `singles` more from a file, a folder or, by default, the corpus.

    Of fewer texts, a sixteenth are singles. The draw is the same for the same files and seed.

    Raises:
        BenchUsage: there is nothing to read, or less than two texts.
    """
    drawn = evenly([read(path) for path in files(place or CORPUS)], count + singles, seed)
    if len(drawn) < 2:
        raise BenchUsage(f"{place}: fewer than two different texts, name a file with more")
    alone = singles if len(drawn) == count + singles else min(singles, max(1, len(drawn) // 16))
    return Texts(drawn[alone:], drawn[:alone])


def files(place: Path) -> list[Path]:
    """The JSONL files that a place names; in a folder `streams/*.jsonl.gz` come before anything else.

    Raises:
        BenchUsage: there are none.
    """
    if place.is_file():
        return [place]
    for pattern in ("streams/*.jsonl.gz", "*.jsonl*"):
        if found := sorted(path for path in place.glob(pattern) if path.suffix in {".jsonl", ".gz"}):
            return found
    raise BenchUsage(f"{place}: no such file, and no folder with .jsonl or .jsonl.gz files")


def read(path: Path) -> list[str]:
    """The texts of a file's rows, in order; blank ones and lone surrogates, which no tokenizer takes, are left out.

    Raises:
        BenchUsage: the file is not JSONL with `text`.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    number, texts = 0, []
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                text = json.loads(line)["text"]
                if text.strip() and text == text.encode("utf-8", "replace").decode():
                    texts.append(text)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchUsage(f"{path}, line {number}: not JSONL with a string `text` ({error})") from error
    return texts


def evenly(sources: Sequence[Sequence[str]], count: int, seed: int) -> list[str]:
    """Draw `count` different texts, as many from each source as it has to give, in random order."""
    chance = random.Random(seed)
    taken: dict[str, None] = {}
    waiting = [chance.sample(list(dict.fromkeys(source)), len(set(source))) for source in sources]
    while len(taken) < count and any(waiting):
        for source in waiting:
            while source and len(taken) < count:
                text = source.pop()
                if text not in taken:
                    taken[text] = None
                    break
    drawn = list(taken)
    chance.shuffle(drawn)
    return drawn
