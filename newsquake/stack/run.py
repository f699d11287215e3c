"""`newsquake up` from start to end: the stack, what people see of it, and the signals that end it."""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from newsquake.errors import StackError
from newsquake.settings import StackSettings
from newsquake.stack.stack import Stack
from newsquake.stack.status import Screen, Ticker, status_line
from storage.engine import open_engine

INTERRUPTED = 130
_POLL_SECONDS = 0.1


class Interrupts:
    """Counts SIGINT, SIGTERM and SIGHUP: the first sets `stopping`, from the second on `hurry` is true."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, stopping: threading.Event) -> None:
        self.count = 0
        self._stopping = stopping

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._seen) for number in self._SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def hurry(self) -> bool:
        """Whether patience is over."""
        return self.count > 1

    def _seen(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self._stopping.set()


class Visit:
    """`while_up` in a thread of its own, so that signals and figures go on meanwhile."""

    def __init__(self, while_up: Callable[[Stack], int], stack: Stack) -> None:
        self.code: int | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(while_up, stack), name="while-up", daemon=True)
        self._thread.start()

    def _run(self, while_up: Callable[[Stack], int], stack: Stack) -> None:
        try:
            self.code = while_up(stack)
        except BaseException as error:  # handed to the main thread, which raises it
            self.error = error


def run_stack(
    settings: StackSettings,
    *,
    replay: bool = False,
    on_up: Callable[[Stack], None] | None = None,
    while_up: Callable[[Stack], int] | None = None,
) -> int:
    """Run the stack until a signal, or until `while_up` returns the exit code. Call it from the main thread.

    `on_up` is called once everything runs. `while_up` runs in a thread of its own. Both print with `Stack.say`, and
    what takes long gives up once `Stack.stopping` is set.
    Returns 0 after a signal, 130 where the signal came before the stack was up or before `while_up` was done.
    Raises a `StackError` (see its `exit_code`), with everything ended.
    """
    stack = Stack(settings, replay=replay)
    with Screen() as screen, Interrupts(stack.stopping) as interrupts:
        try:
            began = time.monotonic()
            screen.say("Starting PostgreSQL, a Kafka broker, workers and the scheduler …")
            stack.start()
            _introduce(stack, screen, time.monotonic() - began)
            if on_up:
                on_up(stack)
            return _attend(stack, screen, while_up)
        except StackError:
            if interrupts.count:
                return INTERRUPTED
            raise
        finally:
            screen.close()
            _drain(stack, screen)
            if interrupts.count:
                screen.say("Stopping …")
            stack.stop(interrupts.hurry)
            _drain(stack, screen)


def _attend(stack: Stack, screen: Screen, while_up: Callable[[Stack], int] | None) -> int:
    began = time.monotonic()
    engine = open_engine(stack.storage, application="newsquake-status")
    ticker = Ticker(engine)
    ticker.start()
    visit = Visit(while_up, stack) if while_up else None
    try:
        while not stack.stopping.wait(_POLL_SECONDS):
            _drain(stack, screen)
            now = time.monotonic()
            if ticker.has_read:
                screen.show(status_line(now - began, ticker.figures, ticker.per_second, _parts(stack)), now)
            if stack.failed:
                raise stack.failed
            if visit and visit.error:
                raise visit.error
            if visit and visit.code is not None:
                return visit.code
        return INTERRUPTED if visit else 0
    finally:
        ticker.close()
        engine.dispose()


def _drain(stack: Stack, screen: Screen) -> None:
    while not stack.lines.empty():
        screen.say(stack.lines.get())


def _parts(stack: Stack) -> str:
    parts = [f"{program.name} {program.pid or 'restarting'}" for program in stack.programs()]
    parts += [f"{server.name} restarting" for server in stack.servers() if server.pid is None]
    return ", ".join(parts)


def _introduce(stack: Stack, screen: Screen, took: float) -> None:
    started = {server.name for server in stack.servers()}
    screen.say(f"Newsquake is up after {took:.1f} s.")
    screen.say(f"  database  {stack.shown_storage_url}")
    keeps = "; NEWSQUAKE_KAFKA_HOME names an Apache Kafka that keeps messages" if "tansu" in started else ""
    screen.say(f"  broker    {stack.broker} ({stack.broker_kind}{keeps})")
    screen.say(f"  data      {stack.data_dir}")
    screen.say(f"  logs      {stack.log_dir}")
    screen.say("In another terminal:")
    for name, value in stack.environment.items():
        if _ours(name, started):
            screen.say(f"  export {name}={value}")
    screen.say(f"  {stack.psql} {stack.shown_storage_url} -c 'SELECT * FROM topic_now'")
    screen.say("Ctrl-C ends everything.")


def _ours(name: str, started: set[str]) -> bool:
    """Whether a variable names a server that this stack started: what people set themselves they know."""
    return "postgres" in started if name == "NEWSQUAKE_STORAGE_URL" else bool(started & {"kafka", "tansu"})
