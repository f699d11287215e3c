"""What holds a new alert back: one that ended a moment ago, or one of another rule that tells of the same.

In the `cooldown_minutes` after an episode its topics (and all topics together) open a new one only if they are clearly
worse: critical after a warning, or half as many negatives again as at the old peak, of which a shorter window need show
its part only.

An episode of one rule inhibits all topics together under the rules after it: what is told of a topic is not told again
of the sum that the topic is part of. Nor is it told again of a name, where most of what is said about the name is of
that topic, unless the name's alert is the graver one.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from alerts.evidence import Confirmed, critical
from alerts.series import ALL
from alerts.settings import AlertsSettings

if TYPE_CHECKING:
    from alerts.episodes import Book, Episode

_CLEARLY_WORSE = 1.5


def may_open(book: "Book", confirmed: Confirmed, minute: datetime, settings: AlertsSettings) -> bool:
    """Whether no episode that ended within the cool-down stands in the way, nor one of a rule before this one."""
    cooldown = timedelta(minutes=settings.cooldown_minutes)
    if told_elsewhere(book, confirmed, minute, settings):
        return False
    for old in book.ended:
        if old.resolved_at is None or minute - old.resolved_at >= cooldown:
            continue
        same = confirmed.series.about in old.subjects or confirmed.series.whole or old.leading.whole
        if same and not _clearly_worse(old, confirmed, settings):
            return False
    return True


def _clearly_worse(old: "Episode", confirmed: Confirmed, settings: AlertsSettings) -> bool:
    """The peak of a window of days is no measure for one of minutes: it is held to the peak's part in its time."""
    if old.severity != "critical" and critical(confirmed, settings):
        return True
    part = max(confirmed.spike.window, *settings.windows) / max(old.peak_window, *settings.windows)
    return confirmed.evidence.effective >= _CLEARLY_WORSE * old.peak * min(part, 1.0)


def told_elsewhere(book: "Book", confirmed: Confirmed, minute: datetime, settings: AlertsSettings) -> bool:
    """Whether an episode of a rule before this one tells of it already."""
    cooldown = timedelta(minutes=settings.cooldown_minutes)
    return any(
        other.opened_at <= minute
        and (other.resolved_at is None or minute < other.resolved_at + cooldown)
        and _tells_of(other, confirmed, settings)
        for other in book.others
    )


def _tells_of(other: "Episode", confirmed: Confirmed, settings: AlertsSettings) -> bool:
    if confirmed.series.entity == ALL:
        return confirmed.series.whole
    lesser = other.severity == "critical" or not critical(confirmed, settings)
    return lesser and confirmed.evidence.mostly_of(other.topics)
