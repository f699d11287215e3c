"""An object in a process of its own, called over pipes: `Remote(Factory, …).call("method", …)`.

A contender alone in its process cannot spoil another's thread pool, its memory can be told, and if it crashes the run
goes on. Between calls the child waits on its pipe and uses no processor. Its output goes to a log file, whose last line
is told when it dies. Messages are pickles between two processes of ours.
"""

import contextlib
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import models  # noqa: F401, it keeps OpenVINO from reporting to its makers
from bench.engine.place import Unavailable
from bench.errors import BenchError, RemoteFailure

_ROOT = Path(__file__).parents[2]
_PATIENCE = 10.0
"""Seconds that a process is given to end."""
_QUIET = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_VERBOSITY": "error"}


class Remote:
    """An object of another process; leave it as a context manager or by `close`."""

    def __init__(self, factory: Callable[..., object], *arguments: object, log: Path) -> None:
        """Start the process and make the object there.

        Raises:
            RemoteFailure: it cannot be made.
        """
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bench.engine.remote"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, env=_environment(),
            )  # fmt: skip
        try:
            self._exchange("make", factory, arguments)
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method there and wait for what it returns.

        Raises:
            RemoteFailure: it raised, or the process died.
        """
        return self._exchange("call", method, arguments)

    def close(self) -> None:
        """Ask the process to end, and end it by force if it does not."""
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _exchange(self, kind: str, target: object, arguments: tuple[object, ...]) -> Any:
        assert self._process.stdin and self._process.stdout
        try:
            pickle.dump((kind, target, arguments), self._process.stdin)
            self._process.stdin.flush()
            done, outcome = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            code = self._process.wait(_PATIENCE)
            raise RemoteFailure(f"its process ended with code {code}: {last_line(self._log)}") from error
        if not done:
            raise RemoteFailure(outcome)
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Call:
    """A function's result, as the object that a `Remote` holds."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._result = function(*arguments)

    def result(self) -> object:
        """What the function returned."""
        return self._result


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Say in the error what it was that does not run.

    Raises:
        BenchError: a remote object failed.
    """
    try:
        yield
    except RemoteFailure as failure:
        raise BenchError(f"{what} does not run: {failure}") from failure


def apart(function: Callable[..., Any], *arguments: object, log: Path) -> Any:
    """Run a function in a process of its own and return its result.

    Raises:
        RemoteFailure: it raised, or the process died.
    """
    with Remote(Call, function, *arguments, log=log) as remote:
        return remote.call("result")


def last_line(log: Path) -> str:
    """The last words in a log file."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def serve() -> None:
    """Make one object and answer calls to it, until the parent closes the pipe."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints would spoil the replies
    held: object = None
    while True:
        try:
            kind, target, arguments = pickle.load(requests)
        except EOFError:
            os._exit(0)  # nothing is left to save, and tearing torch down takes a second
        try:
            outcome = target(*arguments) if kind == "make" else getattr(held, target)(*arguments)
            reply: tuple[bool, object] = (True, None if kind == "make" else outcome)
            held = outcome if kind == "make" else held
        except Exception as error:  # whatever a peer's library raises is that peer's failure, and is told as such
            traceback.print_exc()
            reply = (False, _reason(error))
        pickle.dump(reply, replies)
        replies.flush()


def _reason(error: Exception) -> str:
    first = (str(error).strip() or "no message").splitlines()[0][:300]
    return first if isinstance(error, Unavailable) else f"{type(error).__name__}: {first}"


def _environment() -> dict[str, str]:
    """The parent's, without settings of the classifier: what is measured are the defaults."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEWSQUAKE_MODELS_")}
    paths = [str(_ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | _QUIET | {"PYTHONPATH": os.pathsep.join(paths)}


if __name__ == "__main__":
    serve()
