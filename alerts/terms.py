"""What is talked about now and was not before: the terms of some texts against those of earlier ones.

Log-odds ratios with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008, "Fightin' Words",
doi:10.1093/pan/mpn018), by the number of texts that hold a term, however often. Terms are English words and pairs of
them, and runs of two to six Chinese characters. Pure.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_PRIOR_TEXTS = 10.0  # how many texts the prior is worth
_LEAST_TEXTS = 2  # a term of one text is that text's own
_LEAST_Z = 1.0
_EXPLAINS = 0.8  # a longer term that holds so many of a shorter one's texts stands for it
_LONGEST = 6  # Chinese characters
_LINK = re.compile(r"(?:https?://|www\.)\S+|[@＠]\w+")
_RUN = re.compile(r"[a-z][a-z'’&-]*[a-z]|[\u3400-\u4dbf\u4e00-\u9fff]+|[^\s]")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_STOP_WORDS = frozenset(
    """a about after again all also am an and any are as at back be because been before being between both but by can
    cannot could day days did do does doing don't down during each few for from further get gets getting go goes going
    got had has have having he her here him his how i if i'm in into is isn't it it's its just know like made make many
    may me more most much must my new no nor not now of off on once one only or other our out over own per re said same
    say says see she should so some still such than that that's the their them then there these they they're this
    those through time to today told too two under until up upon us very via want was we well were what when where which
    while who why will with won't would year years yesterday yet you your""".split()
)
_STOP_SIGNS = frozenset("的了在是和与及等将为于其也而或被把对从到就都不有这那个之以并已还又此")


def top_terms(found: Sequence[str], earlier: Sequence[str], limit: int = 5) -> list[str]:
    """The terms that set `found` apart from `earlier`, most telling first; none where there is nothing to compare."""
    if len(found) < _LEAST_TEXTS or not earlier:
        return []
    now = Counter(term for text in found for term in terms_of(text))
    now = Counter({term: texts for term, texts in now.items() if texts >= _LEAST_TEXTS})
    before = Counter(term for text in earlier for term in terms_of(text) if term in now)
    scored = {term: _z(texts, len(found), before[term], len(earlier)) for term, texts in now.items()}
    explained = {part for term, texts in now.items() for part in _parts(term) if texts >= _EXPLAINS * now[part]}
    ranked = sorted(
        (term for term, z in scored.items() if z >= _LEAST_Z and term not in explained),
        key=lambda term: (-round(scored[term], 6), -len(term), term),
    )
    chosen: list[str] = []
    for term in ranked:
        if len(chosen) < limit and not any(_overlap(term, other) for other in chosen):
            chosen.append(term)
    return chosen


def terms_of(text: str) -> set[str]:
    """The terms of one text, in lower case; links, handles, numbers and what carries no meaning are left out."""
    plain = _LINK.sub(" . ", unicodedata.normalize("NFKC", text).lower())
    found: set[str] = set()
    last = ""
    for piece in _RUN.findall(plain):
        if _CHINESE.match(piece):
            found |= _grams(piece)
            last = ""
            continue
        word = piece.replace("’", "'").removesuffix("'s")
        meaning = len(word) > 1 and word not in _STOP_WORDS
        if meaning:
            found.add(word)
            if last:
                found.add(f"{last} {word}")
        last = word if meaning else ""
    return found


def _grams(run: str) -> set[str]:
    return {
        run[start : start + length]
        for length in range(2, _LONGEST + 1)
        for start in range(len(run) - length + 1)
        if run[start] not in _STOP_SIGNS and run[start + length - 1] not in _STOP_SIGNS
    }


def _z(now: int, texts_now: int, before: int, texts_before: int) -> float:
    """The log-odds ratio in standard deviations."""
    prior = _PRIOR_TEXTS * (now + before) / (texts_now + texts_before)
    left = _PRIOR_TEXTS - prior
    odds = (now + prior) / (texts_now - now + left + 1e-9), (before + prior) / (texts_before - before + left + 1e-9)
    return (math.log(odds[0]) - math.log(odds[1])) / math.sqrt(1 / (now + prior) + 1 / (before + prior))


def _parts(term: str) -> set[str]:
    """The shorter terms within a term."""
    return (_grams(term) if _CHINESE.match(term) else set(term.split())) - {term}


def _overlap(term: str, other: str) -> bool:
    """Whether two terms tell of the same: a word or two neighbouring Chinese characters in common."""
    if _CHINESE.match(term):
        return any(term[start : start + 2] in other for start in range(len(term) - 1))
    return bool(set(term.split()) & set(other.split()))
