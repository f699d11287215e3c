"""Errors of the alerts layer.

    AlertsError
    ├── ChannelFailed     a notification could not be handed over: tried again later
    └── InvalidChannel    an Apprise URL cannot be understood: a mistake in the settings

What the database raises stays what it is (`storage.errors`).
"""


class AlertsError(Exception):
    """Something about alerts went wrong; the message says what to do and holds no secret."""


class ChannelFailed(AlertsError):
    """The receiver did not take a notification."""


class InvalidChannel(AlertsError):
    """An Apprise URL cannot be understood."""
