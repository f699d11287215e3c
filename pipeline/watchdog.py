"""The last resort against a worker that hangs: all stacks into the log, and the process ends so that another begins.

A thread counts seconds in which the event loop gave no sign of life; a backlog that stands still while the loop lives
is the reporter's to notice. Seconds in which this process as a whole was stopped (SIGSTOP, a sleeping laptop) do not
count, neither here nor by the `clock`.
"""

import asyncio
import faulthandler
import os
import sys
import threading
import time

import structlog

log = structlog.get_logger(__name__)

_PAUSE = 2.0  # seconds between two signs of life that count; in those beyond, the process was stopped


def dump_stacks() -> None:
    """The stacks of all threads to stderr, where the log goes; works whatever the threads hold."""
    sys.stderr.flush()
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)


class Watchdog:
    """Ends the process with code 1 once the event loop has been silent for `bound` seconds. `start` once."""

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._alive = threading.Event()
        self._off = threading.Event()
        self._beaten = time.monotonic()
        self._stopped = 0.0

    def clock(self) -> float:
        """Monotonic seconds without those in which the process was stopped. For the event loop's thread."""
        return min(time.monotonic(), self._beaten + _PAUSE) - self._stopped

    def start(self) -> None:
        """Watch from now on."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    async def beat(self) -> None:
        """Give a sign of life twice a second until cancelled."""
        while True:
            before, self._beaten = self._beaten, time.monotonic()
            self._stopped += max(0.0, self._beaten - before - _PAUSE)
            self._alive.set()
            await asyncio.sleep(0.5)

    def stop(self) -> None:
        """Watch no longer: the loop is about to end."""
        self._off.set()

    def _watch(self) -> None:
        silent = 0
        while not self._off.wait(1):
            silent = 0 if self._alive.is_set() else silent + 1
            self._alive.clear()
            if silent > self._bound:
                log.critical("event_loop_hangs", seconds=silent)
                dump_stacks()
                os._exit(1)
