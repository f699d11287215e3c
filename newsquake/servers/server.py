"""The roles of the one-machine stack: a part is a supervised child process, a server is a part with an address."""

from typing import Protocol


class Part(Protocol):
    """A child process of ours that may be started again after a death."""

    @property
    def name(self) -> str:
        """Its short name, as in `logs/NAME.log`."""

    @property
    def pid(self) -> int | None:
        """The process id, None where it does not run."""

    @property
    def exit_code(self) -> int | None:
        """How the last process ended (negative: by that signal), None while it runs or before it ran."""

    def start(self) -> None:
        """Return once it works; raises `ServerError`, `PartMissing`."""

    def stop(self, grace: float = 5.0) -> None:
        """End it, politely for `grace` seconds and then by force; nothing happens where it does not run."""

    def kill(self) -> None:
        """By force, at once; a `stop` under way in another thread then returns."""

    def tail(self) -> str:
        """The last lines that it logged since its start."""


class Server(Part, Protocol):
    """A server that listens on loopback alone.

    Address and data stay the same over restarts, which is what lets a supervisor restart it under its clients.
    """

    @property
    def address(self) -> str:
        """`host:port`."""

    @property
    def durable(self) -> bool:
        """Whether its data outlives its process."""

    @property
    def healthy(self) -> bool:
        """Whether the process lives and answers its own protocol now; takes two seconds at most."""
