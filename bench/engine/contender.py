"""A contender in its own process: built once, then timed round by round."""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.engine.place import Answers, Place, Scorer

_WARM_UP = ("Shares fall after a profit warning", "银行股大幅下跌")


class Contender:
    """What a `Remote` holds for each contender."""

    def __init__(self, load: Callable[[Place], Scorer], place: Place) -> None:
        self._scorer = load(place)
        self._scorer.score(list(_WARM_UP))
        self._resident = resident_mb()

    def facts(self) -> tuple[str, float]:
        """Precision, and megabytes resident once warm."""
        return self._scorer.precision, self._resident

    def round(self, texts: Sequence[str]) -> float:
        """Seconds for all the texts together."""
        began = time.perf_counter()
        self._scorer.score(texts)
        return time.perf_counter() - began

    def singles(self, texts: Sequence[str]) -> list[float]:
        """Seconds for each text alone."""
        return [self.round([text]) for text in texts]

    def answer(self, texts: Sequence[str]) -> Answers:
        """Probabilities, untimed."""
        return self._scorer.answer(texts)

    def peak_mb(self) -> float:
        """The most megabytes that the process has ever held."""
        return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / 1e6


def resident_mb() -> float:
    """Megabytes that the process holds now; where the system does not tell, the most it has held."""
    return _status("VmRSS") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / 1e6


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def _status(field: str) -> float | None:
    """Megabytes by Linux's own account of this program: `ru_maxrss` would begin with what the parent held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    found = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(found[field].split()[0]) * 1024 / 1e6 if field in found else None
