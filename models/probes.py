"""Texts that probe one ability each, `models/probes.toml`: names that must not matter, words and numbers that must.

The file holds sentences with one slot (`{bank}`, `{company}`, `{country}`, `{person}`) and names to fill it with; and
pairs of a good and a bad text that differ in a negation, in a word for the direction, or in their numbers alone.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import DataError

_FILE = Path(__file__).parent / "probes.toml"


@dataclass(frozen=True, slots=True)
class NameProbe:
    """A sentence whose score should not depend on which of the names fills its slot."""

    lang: str
    slot: str
    sentence: str
    names: tuple[str, ...]

    def texts(self) -> list[str]:
        """Return the sentence with each name in turn."""
        return [self.sentence.replace(f"{{{self.slot}}}", name) for name in self.names]


@dataclass(frozen=True, slots=True)
class PairProbe:
    """A positive and a negative text of one `kind` (`negation`, `direction`, `numbers`)."""

    lang: str
    kind: str
    good: str
    bad: str


@dataclass(frozen=True, slots=True)
class Probes:
    """Everything in the file."""

    names: tuple[NameProbe, ...]
    pairs: tuple[PairProbe, ...]


def load_probes(path: Path = _FILE) -> Probes:
    """Read the probes that come with the package, or another file of their kind.

    Raises:
        DataError: the file is missing, or a probe lacks a field or its slot.
    """
    try:
        book = tomllib.loads(path.read_text(encoding="utf-8"))
        names = tuple(
            _name_probe(book["names"], probe, sentence) for probe in book["sentences"] for sentence in probe["texts"]
        )
        pairs = tuple(
            PairProbe(part["lang"], part["kind"], *_two(pair)) for part in book["pairs"] for pair in part["good_bad"]
        )
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a file of probes ({error})") from error
    return Probes(names, pairs)


def _name_probe(names: dict[str, Any], probe: dict[str, Any], sentence: str) -> NameProbe:
    if f"{{{probe['slot']}}}" not in sentence:
        raise DataError(f"probe {sentence!r} has no slot {{{probe['slot']}}}")
    return NameProbe(probe["lang"], probe["slot"], sentence, tuple(names[probe["lang"]][probe["slot"]]))


def _two(pair: list[str]) -> tuple[str, str]:
    if len(pair) != 2:
        raise DataError(f"a pair has two texts, a good one and a bad one; found {pair!r}")
    return pair[0], pair[1]
