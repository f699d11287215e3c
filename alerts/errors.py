"""Errors of the alerts layer.

    AlertsError
    ├── ChannelFailed     a notification could not be handed over: tried again unless `final`
    ├── InvalidChannel    a channel's address or secret is missing or wrong: a mistake in the settings
    ├── InvalidRule       a rule or a rules file cannot be understood
    ├── InvalidSilence    a silence that would hold back nothing, or everything by mistake
    └── NotDone           exit code 1: what was asked for meets no such alert, rule or silence, or one that is over

What the database raises stays what it is (`storage.errors`).
"""

from datetime import timedelta
from typing import ClassVar


class AlertsError(Exception):
    """Something about alerts went wrong; the message says what to do and holds no secret."""


class ChannelFailed(AlertsError):
    """The receiver did not take a notification.

    `final`: it never will, and another try would be noise. `retry_after`: how long it asks to be left alone.
    """

    def __init__(self, message: str, *, final: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.final, self.retry_after = final, retry_after


class InvalidChannel(AlertsError):
    """A channel cannot be opened as the settings say."""


class InvalidRule(AlertsError):
    """A rule or a rules file cannot be understood; the message names the file, the rule, the field."""


class InvalidSilence(AlertsError):
    """A silence that would hold back nothing, or everything by mistake."""


class NotDone(AlertsError):
    """There is no such alert, rule or silence, or it is over; nothing was changed."""

    exit_code: ClassVar[int] = 1
