"""Which texts of a batch break the classifier: found by halving, so that one of them costs its batch a few calls.

With k culprits among n texts that is about 2·k·log2(n) calls, where one by one it would be n.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

log = structlog.get_logger(__name__)
T = TypeVar("T")
Score = Callable[[Sequence[str]], Sequence[T]]

_numbers = itertools.count(1)


def score_each(texts: Sequence[str], score: Score[T]) -> list[T | Exception]:
    """Score all texts in one call; where it fails, a text that is at fault gets its error in place of a score.

    Raises the classifier's error where no text is to blame: it fails on a plain sentence, too, before the search or
    after it, or a text alone fails for want of memory or by the operating system. Errors that are no `Exception`
    (an interrupt, an exit) pass through.
    """
    if not texts:
        return []
    try:
        return list(score(texts))
    except Exception as error:
        log.warning("batch_failed_looking_for_the_text", error=str(error), texts=len(texts))
        _probe(score, error)
        scores = _search(texts, score)
        culprits = [found for found in scores if isinstance(found, Exception)]
        if culprits:
            _probe(score, culprits[-1])
            log.warning("texts_that_break_the_classifier", culprits=len(culprits), texts=len(texts))
        return scores


def _search(texts: Sequence[str], score: Score[T]) -> list[T | Exception]:
    """Scores or errors of texts that failed together. A text alone is tried again before it is blamed."""
    if len(texts) > 1:
        middle = len(texts) // 2
        return [*_half(texts[:middle], score), *_half(texts[middle:], score)]
    try:
        return list(score(texts))
    except Exception as error:
        if _is_the_machines(error):
            raise
        return [error]


def _half(texts: Sequence[str], score: Score[T]) -> list[T | Exception]:
    if len(texts) == 1:
        return _search(texts, score)
    try:
        return list(score(texts))
    except Exception:
        return _search(texts, score)


def _probe(score: Score[T], error: Exception) -> None:
    """Raise `error` if the classifier fails on a plain sentence: then it is broken.

    No sentence is used twice, since a classifier may remember its answers and not be asked at all.
    """
    try:
        score([f"The market is open for session {next(_numbers)}."])
    except Exception:
        raise error from None


def _is_the_machines(error: Exception) -> bool:
    """Whether an error speaks of memory or the operating system; frameworks have out-of-memory errors of their own."""
    named = any("OutOfMemory" in kind.__name__ for kind in type(error).__mro__)
    return named or isinstance(error, MemoryError | OSError)
