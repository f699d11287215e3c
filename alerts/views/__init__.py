"""What a rule's counts are taken over, and where they are read: all messages, some languages or sources, or names."""

from alerts.series import ALL, EVERYTHING, Part
from alerts.views.contract import View
from alerts.views.messages import Messages
from alerts.views.names import Names
from alerts.views.sources import Sources

__all__ = ["EVERYDAY", "Messages", "Names", "Sources", "View", "view_of"]

EVERYDAY: View = Messages()


def view_of(part: Part = EVERYTHING, entities: tuple[str, ...] = ()) -> View:
    """The view of a rule of these names, `*` among them for all, or of a part of the messages."""
    if entities:
        return Names(None if ALL in entities else entities)
    return Sources(part.sources) if part.sources else Messages(part.languages)
