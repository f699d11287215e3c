"""Nothing is left behind, even when the stack itself is killed outright.

The guardian is a small process of its own that reads a pipe whose other end only the stack's process holds. The pipe
closes when that process ends, however it ends; then the guardian stops every child that it was told of, politely for
five seconds and by force after that, and ends too. It runs with the standard library alone, as a script, so that it
starts in a blink and needs nothing that could be broken.

Lines on the pipe: `watch PID SIGNAL START` (see `start_mark`).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 5.0


class Guardian:
    """The stack's end: `watch` has the shape of `newsquake.servers.process.Watch`."""

    def __init__(self, hold: tuple[int, ...] = ()) -> None:
        """`hold` are open files, such as locks, that stay open until the last child is gone."""
        self._process = subprocess.Popen(
            (sys.executable, "-I", "-S", str(Path(__file__).resolve())),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=hold,
            cwd="/",
        )

    @property
    def pid(self) -> int:
        """The guardian's own process id."""
        return self._process.pid

    def watch(self, pid: int, stop_signal: signal.Signals) -> None:
        """Hand a new child over; the guardian ends it with `stop_signal` should this process be killed."""
        assert self._process.stdin is not None
        line = f"watch {pid} {int(stop_signal)} {start_mark(pid)}\n"
        # A guardian that was killed by hand must not take the stack down with it.
        with suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

    def close(self, seconds: float = GRACE_SECONDS + 3) -> None:
        """Let go: the guardian ends whatever still lives, then itself."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start_mark(pid: int) -> str:
    """When a live process started, in the system's own terms; empty where it does not live.

    Together with the process id it names a process for good: ids are used again.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            # The command's name, in parentheses, may hold anything; fields count from after it.
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    done = subprocess.run(("ps", "-o", "lstart=", "-p", str(pid)), capture_output=True, text=True, check=False)
    return "-".join(done.stdout.split())


def end_all(children: Iterable[tuple[int, int, str]], grace: float = GRACE_SECONDS) -> None:
    """Send each (pid, signal, start mark) its signal, wait up to `grace` seconds for all, then kill their groups."""
    living = [child for child in children if start_mark(child[0]) == child[2] != ""]
    for pid, number, _ in living:
        with suppress(OSError):
            os.kill(pid, number)
    deadline = time.monotonic() + grace
    waiting = living
    while waiting and time.monotonic() < deadline:
        time.sleep(0.05)
        waiting = [child for child in waiting if start_mark(child[0]) == child[2]]
    for pid, _, mark in living:
        # The leader may be gone and its group not; an id that is used by another process by now is left alone.
        if start_mark(pid) in ("", mark):
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)


def main() -> None:
    """Read the pipe to its end, then end every child."""
    # Its life is bound to the pipe alone: whoever ends the stack by a signal to all must not end the guardian first.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    children: list[tuple[int, int, str]] = []
    for line in sys.stdin:
        verb, _, rest = line.rstrip("\n").partition(" ")
        pid, number, mark = rest.split(" ")
        if verb == "watch" and mark:
            children.append((int(pid), int(number), mark))
    end_all(children)


if __name__ == "__main__":
    main()
