"""What is usual about who writes and who copies: what evidence is held against.

Three wires that carry each story, or a stream of one source, are no manipulation where they always do so. Counts of
the baseline hold the usual copies, so that only copies beyond the usual may be taken off a window; and a source may
make up the part of what counts that it makes up of the stream on other days.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts.series import HOUR, MINUTE

LOUDEST = 0.5  # most that one source may make up of what counts, unless it usually makes up more
_REFERENCES = 4  # windows on earlier days that copies are counted in
_HARDLY = 0.02  # a source with a smaller part of the stream is not one that the stream usually has
_PRIOR_NEGATIVES = 10.0
_LEAST_GENUINE = 0.2


@dataclass(frozen=True, slots=True)
class Usual:
    """`sources`: each one's part of the stream's messages; `genuine`: part of negatives that are no copies, 0..1."""

    sources: Mapping[str, float] = field(default_factory=dict)
    genuine: float = 1.0

    def floor(self, least: int) -> int:
        """How many sources a spike needs, of `least` or of as many as the stream has; two where there are two."""
        regular = sum(part >= _HARDLY for part in self.sources.values())
        return min(least, regular) if regular else least

    def capped(self, by_source: Mapping[str, int]) -> int:
        """How many negatives count, with the loudest source held to half or to its usual part."""
        if not by_source:
            return 0
        name = max(by_source, key=lambda source: (by_source[source], source))
        rest = sum(by_source.values()) - by_source[name]
        part = min(max(LOUDEST, self.sources.get(name, 0.0)), 1.0)
        allowed = by_source[name] if part > 1 - 1e-6 else int(rest * part / (1 - part) + 1e-9)
        return rest + min(by_source[name], allowed)


NOTHING_KNOWN = Usual()


def references(hour: datetime, minutes: int) -> list[tuple[datetime, datetime]]:
    """Windows of `minutes` that end with `hour` on earlier days and do not overlap."""
    apart = timedelta(days=-(-minutes // 1440))
    ends = [hour + HOUR - apart * number for number in range(1, _REFERENCES + 1)]
    return [(end - minutes * MINUTE, end) for end in ends]


def genuine_part(contents: int, seen: int) -> float:
    """The part of negatives that are no copies, from those of the references; near 1 while little is known."""
    part = (contents + _PRIOR_NEGATIVES) / (seen + _PRIOR_NEGATIVES)
    return min(max(part, _LEAST_GENUINE), 1.0)
