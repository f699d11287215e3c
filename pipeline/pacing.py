"""Event time against the clock: when to publish a message, and how to move old messages to now. Pure functions."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Pace:
    """Publishes event time `first` at clock time `start`, `speed` times as fast as it went by; None: at once."""

    first: datetime
    start: datetime
    speed: float | None

    def due(self, published_at: datetime) -> datetime:
        """The clock time at which a message of event time `published_at` is published."""
        return self.start if self.speed is None else self.start + (published_at - self.first) / self.speed


def rebase_shift(first: datetime, last: datetime, *, now: datetime, speed: float | None) -> timedelta:
    """What to add to event times so that the last message is published at its own event time.

    At speed 1 the first message gets the time `now`; at any higher speed earlier messages become the recent past,
    and no message lies ahead of the clock when it is published.
    """
    span = last - first
    return now + (span / speed if speed else timedelta(0)) - last
