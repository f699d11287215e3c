"""Newsquake's own long-lived parts as children: a worker, the scheduler."""

from collections.abc import Callable, Mapping
from pathlib import Path

from newsquake.servers.process import Command, Process, Watch, unwatched


class Program:
    """A child whose stdout lines go to `on_line` and whose stderr (its structured log) goes to `log`."""

    def __init__(
        self,
        name: str,
        argv: tuple[str, ...],
        env: Mapping[str, str],
        log: Path,
        *,
        on_line: Callable[[str], None],
        watch: Watch = unwatched,
    ) -> None:
        self.name = name
        self._command = Command(argv, env=env)
        self._on_line = on_line
        self._process = Process(name, log, watch=watch)

    @property
    def pid(self) -> int | None:
        """The live child's process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the last child ended."""
        return self._process.exit_code

    def start(self) -> None:
        """Spawn it; it finds its way to the servers by itself."""
        self._process.spawn(self._command, self._on_line)

    def stop(self, grace: float = 5.0) -> None:
        """SIGTERM, which lets it finish its batch, then SIGKILL."""
        self._process.stop(grace)

    def kill(self) -> None:
        """SIGKILL at once."""
        self._process.kill()

    def tail(self) -> str:
        """The end of its log."""
        return self._process.tail()
