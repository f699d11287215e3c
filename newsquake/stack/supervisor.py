"""Restarts what dies: one thread watches one part, waits a growing while after each death and starts it again."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from newsquake.errors import SettingsRejected, StackError
from newsquake.servers.server import Part

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
HEALTHY_AFTER = 60.0
QUICK_EXIT = 20.0
CALM_AFTER = 30.0
SETTINGS_EXIT_CODE = 2
SETTINGS_TRIES = 3
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a part between two deaths; `delay` is how long to wait before the coming restart."""

    delay: float = 0.0
    rejected: int = 0

    def after_death(self, lived: float, exit_code: int | None, *, calm: bool = True) -> "Record":
        """The record after a process that lived `lived` seconds: the delay doubles, a minute of health resets it.

        Exit code 2 speaks of wrong settings only while all else was `calm`: without its servers a program may well
        leave with it, too.
        """
        delay = FIRST_DELAY if lived >= HEALTHY_AFTER or not self.delay else min(2 * self.delay, LONGEST_DELAY)
        rejected = exit_code == SETTINGS_EXIT_CODE and lived < QUICK_EXIT and calm
        return replace(self, delay=delay, rejected=self.rejected + 1 if rejected else 0)

    @property
    def hopeless(self) -> bool:
        """Whether the part said three times running that its settings are wrong."""
        return self.rejected >= SETTINGS_TRIES


class Supervisor:
    """Watches parts that were started already, until `close`.

    `restarted` is called after a part's restart (in its thread), `failed` holds the error that makes going on
    pointless, and `say` takes one line for each death and restart.
    """

    def __init__(self, say: Callable[[str], None], restarted: Callable[[Part], None] = lambda part: None) -> None:
        self.failed: StackError | None = None
        self.restarts: dict[str, int] = {}
        self._say = say
        self._restarted = restarted
        self._closing = threading.Event()
        self._last_mishap = float("-inf")
        self._threads: list[threading.Thread] = []

    def watch(self, part: Part) -> None:
        """Keep `part` alive from now on."""
        thread = threading.Thread(target=self._keep, args=(part,), name=f"supervise-{part.name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Restart nothing from now on; call before the parts are stopped."""
        self._closing.set()

    def join(self, seconds: float) -> None:
        """Wait for a restart that was under way when `close` was called."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _keep(self, part: Part) -> None:
        record, started = Record(), time.monotonic()
        while not self._closing.wait(_POLL_SECONDS):
            if part.pid is not None:
                continue
            lived = time.monotonic() - started
            if part.exit_code != SETTINGS_EXIT_CODE:
                self._last_mishap = time.monotonic()
            calm = time.monotonic() - self._last_mishap > CALM_AFTER
            record = record.after_death(lived, part.exit_code, calm=calm)
            self._say(_obituary(part, lived, record))
            if record.hopeless:
                self.failed = SettingsRejected(f"{part.name} rejects its settings: {_one_line(part.tail())}")
                return
            if self._closing.wait(record.delay):
                return
            started = time.monotonic()
            self._restart(part)

    def _restart(self, part: Part) -> None:
        try:
            part.start()
            if self._closing.is_set():
                return
            self.restarts[part.name] = self.restarts.get(part.name, 0) + 1
            self._say(f"{part.name} restarted (pid {part.pid})")
            self._restarted(part)
        except Exception as error:  # whatever it was, the part is down: said here, tried again after a longer while
            if not self._closing.is_set():
                self._say(f"{part.name} did not start again: {error}")


def _obituary(part: Part, lived: float, record: Record) -> str:
    code = part.exit_code
    how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
    coming = "given up" if record.hopeless else f"restart in {record.delay:.0f} s"
    last = "".join(f"\n    {line}" for line in part.tail().splitlines()) if code else ""
    return f"{part.name} {how} after {lived:.0f} s; {coming}{last}"


def _one_line(text: str) -> str:
    lines = text.splitlines()
    return lines[-1] if lines else "it logged nothing"
