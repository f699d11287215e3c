"""Worker processes and their supervisor: whoever ends is started again a second later, as in production."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from newsquake.stack.guardian import Guardian

_PAUSE = 1.0  # seconds between a death and the next start
_LOOK = 0.1
_LEAVE_SECONDS = 12.0


@dataclass(slots=True, eq=False)
class _Place:
    """One worker that is wanted, and the process that fills its place just now."""

    process: subprocess.Popen[bytes]
    wanted: bool = True
    died: float | None = None


class Fleet:
    """Starts workers, keeps them running, and hands them to whoever wants to harm them."""

    def __init__(self, argv: tuple[str, ...], env: Mapping[str, str], log: Path, guardian: Guardian) -> None:
        self._argv = (sys.executable, *argv)
        self._env = env
        self._log = log
        self._guardian = guardian
        self._places: list[_Place] = []
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._supervisor.start()
        self.restarts = 0
        self.exits: list[int] = []

    @property
    def log(self) -> str:
        """What all workers have logged."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    @property
    def pids(self) -> list[int]:
        """The live workers, oldest place first."""
        with self._lock:
            return [place.process.pid for place in self._places if place.wanted and place.process.poll() is None]

    def add(self, count: int = 1) -> None:
        """So many more workers."""
        with self._lock:
            self._places += [_Place(self._spawn()) for _ in range(count)]

    def hit(self, pid: int, number: signal.Signals) -> None:
        """A signal to one of ours; raises `LookupError` where it is gone already: then nothing was tried."""
        with self._lock:
            for place in self._places:
                if place.process.pid == pid and place.process.poll() is None:
                    place.process.send_signal(number)
                    return
        raise LookupError(f"worker {pid} was gone before it could be hit")

    def remove(self, pid: int, number: signal.Signals = signal.SIGTERM) -> None:
        """End this worker for good, by this signal; returns once it is gone."""
        with self._lock:
            gone = [place for place in self._places if place.process.pid == pid]
            for place in gone:
                place.wanted = False
            self._places = [place for place in self._places if place not in gone]
        self._end([place.process for place in gone], number)

    def remove_all(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End every worker for good."""
        with self._lock:
            processes = [place.process for place in self._places]
            self._places = []
        self._end(processes, number)

    def close(self) -> None:
        self._stop.set()
        self._supervisor.join()
        self.remove_all(signal.SIGKILL)

    def _end(self, processes: list["subprocess.Popen[bytes]"], number: signal.Signals) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)
                process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + _LEAVE_SECONDS
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
            self.exits.append(process.wait())

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            process = subprocess.Popen(self._argv, env=self._env, stdout=log, stderr=log, start_new_session=True)
        self._guardian.watch(process.pid, signal.SIGTERM)
        return process

    def _supervise(self) -> None:
        while not self._stop.wait(_LOOK):
            with self._lock:
                for place in self._places:
                    if (code := place.process.poll()) is None:
                        continue
                    if place.died is None:
                        place.died = time.monotonic()
                        self.exits.append(code)
                    elif time.monotonic() - place.died > _PAUSE:
                        place.process, place.died = self._spawn(), None
                        self.restarts += 1
