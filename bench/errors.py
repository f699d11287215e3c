"""What can go wrong in a benchmark, each told in one line.

NewsquakeError          1  the work failed
└── BenchError          1  what is to be measured does not run
    ├── RemoteFailure   1  an object in another process could not be made, raised, or died
    └── BenchUsage      2  there are no such texts or peers
"""

from typing import ClassVar

from newsquake.errors import NewsquakeError


class BenchError(NewsquakeError):
    """What is to be measured does not run."""


class RemoteFailure(BenchError):
    """An object in another process could not be made, raised, or its process died; the message has its last words."""


class BenchUsage(BenchError):
    """The command names what is not there."""

    exit_code: ClassVar[int] = 2
