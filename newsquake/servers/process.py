"""One child process: spawned in its own session, logged, stopped politely and then by force.

A child in its own session does not see the terminal's Ctrl-C, so the stack alone decides in which order its parts end.
Every spawn is reported to `watch`, so that a guardian can end the child should this process be killed outright.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from newsquake.errors import ServerError

LOG_LIMIT = 10 * 1024 * 1024

Watch = Callable[[int, signal.Signals], None]
"""Told the process id and the polite stop signal of each new child."""


def unwatched(pid: int, stop_signal: signal.Signals) -> None:
    """A `Watch` that does nothing."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run and how to end it; `user` is a system user to run as (root only).

    `stop_signals` are sent in turn by `stop`; `kill_signal` is for those who cannot wait.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    user: str | None = None
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    kill_signal: signal.Signals = signal.SIGKILL


class Process:
    """A child with a name and a log. Not more than one process at a time; `spawn` again after a death."""

    def __init__(self, name: str, log: Path, *, watch: Watch = unwatched) -> None:
        self.name = name
        self.log = log
        self._watch = watch
        self._popen: subprocess.Popen[bytes] | None = None
        self._command = Command(())
        self._log_start = 0
        self._stopping = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The live child's process id."""
        return self._popen.pid if self._popen and self._popen.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """The last child's exit code, negative for a signal; None while it runs."""
        return self._popen.poll() if self._popen else None

    def spawn(self, command: Command, on_line: Callable[[str], None] | None = None) -> None:
        """Start the child; raises `ServerError` where the system refuses.

        Its stderr goes to the log; stdout too, or line by line to `on_line` (in a thread).
        """
        if self._popen:
            self._popen.poll()  # reaps a child that was killed since anybody looked
        try:
            self._popen = self._open(command, piped=on_line is not None)
        except OSError as error:
            raise ServerError(f"{self.name} cannot be started: {error}") from None
        self._command = command
        self._watch(self._popen.pid, command.stop_signals[0])
        if on_line:
            threading.Thread(target=_relay, args=(self._popen, on_line), name=f"{self.name}-out", daemon=True).start()

    def _open(self, command: Command, *, piped: bool) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        bound_log(self.log)
        identity = {"user": command.user, "group": command.user, "extra_groups": []} if command.user else {}
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            popen: subprocess.Popen[bytes] = subprocess.Popen(
                command.argv,
                env=command.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else log,
                stderr=log,
                start_new_session=True,
                **identity,  # type: ignore[call-overload]
            )
        return popen

    def stop(self, grace: float = 5.0) -> None:
        """Send the stop signals in turn, the first with `grace` seconds to obey, then SIGKILL what is left of it."""
        with self._stopping:
            popen = self._popen
            if popen is None:
                return
            for wait, number in zip((grace, 1.0), self._command.stop_signals, strict=False):
                if wait > 0 and popen.poll() is None:
                    popen.send_signal(number)
                    with suppress(subprocess.TimeoutExpired):
                        popen.wait(wait)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()

    def kill(self) -> None:
        """The kill signal to its whole group at once; a `stop` under way in another thread then returns."""
        if self._popen and self._popen.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, self._command.kill_signal)

    def tail(self, lines: int = 8) -> str:
        """The last lines that this child wrote to its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            start = self._log_start if self._log_start <= size else 0
            log.seek(max(start, size - 8192))
            text = log.read().decode("utf-8", "replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def _relay(popen: subprocess.Popen[bytes], on_line: Callable[[str], None]) -> None:
    assert popen.stdout is not None
    with popen.stdout as out:
        for line in out:
            on_line(line.decode("utf-8", "replace").rstrip("\n"))


def bound_log(log: Path) -> None:
    """Put a log of more than 10 MiB aside as `NAME.log.1`, in place of the one before."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_name(log.name + ".1"))


def wait_ready(process: Process, probe: Callable[[], bool], seconds: float) -> None:
    """Return once `probe` says yes; raises `ServerError` with the log's end where the child dies or time is up."""
    deadline = time.monotonic() + seconds
    pause = 0.02
    while not probe():
        if process.exit_code is not None:
            raise ServerError(_why(process, f"ended with exit code {process.exit_code} while starting"))
        if time.monotonic() > deadline:
            process.stop(0)
            raise ServerError(_why(process, f"did not answer within {seconds:.0f} s"))
        time.sleep(pause)
        pause = min(1.5 * pause, 0.25)


def _why(process: Process, what: str) -> str:
    tail = " | ".join(process.tail().splitlines()) or "the log is empty"
    return f"{process.name} {what}; {process.log} ends: {tail}"
