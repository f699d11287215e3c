"""Errors of the command line and the one-machine stack; the message alone is printed, the exit code is `exit_code`.

NewsquakeError            1  the work failed
├── ExtraMissing          2  an optional package is not installed; the message names the extra that brings it
├── LabelsInvalid         2  a backtest's labelled windows cannot be read
└── StackError            1  something of the one-machine stack failed
    ├── ServerError       1  a server did not start or does not answer; the message has its log's last lines
    ├── PortTaken         2  a port that the settings name is in use
    ├── DataDirBusy       2  another stack works in this data directory
    ├── PartMissing       2  something is not installed: the extra `local`, Java, Kafka's libraries
    └── SettingsRejected  2  a part left with exit code 2 again and again: its settings are wrong
"""

from typing import ClassVar


class NewsquakeError(Exception):
    """The work failed; the message says what to do."""

    exit_code: ClassVar[int] = 1


class ExtraMissing(NewsquakeError):
    """What is asked for needs an optional package that is not installed."""

    exit_code = 2


class LabelsInvalid(NewsquakeError):
    """Labelled windows are not of the documented shape."""

    exit_code = 2


class StackError(NewsquakeError):
    """The one-machine stack cannot go on."""


class ServerError(StackError):
    """A server did not start, or does not answer."""


class PortTaken(StackError):
    """A port that the settings name is in use by another program."""

    exit_code = 2


class DataDirBusy(StackError):
    """Another stack holds the data directory."""

    exit_code = 2


class PartMissing(StackError):
    """Something that has to be installed first is missing."""

    exit_code = 2


class SettingsRejected(StackError):
    """A part of the stack says that its settings are wrong, and a restart will not change that."""

    exit_code = 2
