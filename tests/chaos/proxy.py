"""A TCP proxy of ours that misbehaves on request: it stands before the broker or the database.

It runs an event loop in a thread of its own and knows nothing of what it passes. Every control acts on all connections
and returns once it has taken effect; `heal` ends them all. Connections that are cut or half closed stay so: their
owners must open new ones.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from newsquake.servers.ports import LOOPBACK

Side = Literal["client", "server"]
_T = TypeVar("_T")

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: closing sends RST in place of FIN
_CONTROL_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class _Way:
    """One direction of one connection, towards `side`."""

    side: Side
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    shut: bool = False


@dataclass(slots=True)
class _Weather:
    """What happens to bytes on their way."""

    delay: float = 0.0  # seconds that each chunk waits
    jitter: float = 0.0  # seconds added to it at most
    rate: float = 0.0  # bytes a second on each way; 0: as fast as they come
    stalled: set[Side] = field(default_factory=set)


class Proxy:
    """Listens on 127.0.0.1:`port` and hands every connection to `target`, a port on the same machine."""

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self._weather = _Weather()
        self._ways: set[_Way] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._moved = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._close: Callable[[], object] = int  # nothing to close yet

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._ways) // 2

    def start(self) -> None:
        """Return once it listens; raises `OSError` where it cannot."""
        listening: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(listening)), name="chaos", daemon=True)
        self._thread.start()
        listening.result()

    def stop(self) -> None:
        """Close everything, rudely."""
        if self._thread and self._thread.is_alive():
            self._close()
            self._thread.join(5)

    def cut(self) -> int:
        """Reset every connection and return how many there were; new ones are welcome."""
        return self._do(self._cut())

    def refuse(self) -> None:
        """An outage: reset every connection and refuse new ones until `accept`."""

        async def outage() -> None:
            if self._server:
                self._server.close()
                self._server = None
            await self._cut()

        self._do(outage())

    def accept(self) -> None:
        """Take connections again."""
        self._do(self._listen())

    def delay(self, seconds: float, jitter: float = 0.0) -> None:
        """Let every chunk of up to 64 KiB wait for `seconds` and up to `jitter` more, each way."""
        self._set(delay=seconds, jitter=jitter)

    def throttle(self, bytes_per_second: float) -> None:
        """Pass no more than this, on each way of each connection."""
        self._set(rate=bytes_per_second)

    def stall(self, *sides: Side) -> None:
        """A silent black hole: take connections and bytes, pass none on towards `sides` (both, if none is named)."""
        self._set(stalled=set(sides or ("client", "server")))

    def half_close(self, side: Side = "client") -> int:
        """End what every open connection says to `side`, as if the other had shut that way; the way back stays open.

        Returns how many that were.
        """

        async def shut() -> int:
            open_ways = [way for way in self._ways if way.side == side and not way.shut]
            for way in open_ways:
                way.shut = True
                with suppress(OSError):
                    way.writer.write_eof()
            return len(open_ways)

        return self._do(shut())

    def heal(self) -> None:
        """Good weather, and open for connections."""
        self._set(delay=0.0, jitter=0.0, rate=0.0, stalled=set())
        self.accept()

    def _set(self, **weather: Any) -> None:
        async def change() -> None:
            async with self._moved:
                for name, value in weather.items():
                    setattr(self._weather, name, value)
                self._moved.notify_all()

        self._do(change())

    def _do(self, control: Coroutine[Any, Any, _T]) -> _T:
        assert self._loop is not None, "not started"
        return asyncio.run_coroutine_threadsafe(control, self._loop).result(_CONTROL_SECONDS)

    async def _run(self, listening: "Future[None]") -> None:
        self._loop, closing = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self._listen()
        except OSError as error:
            listening.set_exception(error)
            return
        loop = self._loop
        self._close = lambda: loop.call_soon_threadsafe(closing.set)
        listening.set_result(None)
        await closing.wait()
        if self._server:
            self._server.close()
        await self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, LOOPBACK, self._port)

    async def _cut(self) -> int:
        for way in self._ways:
            with suppress(OSError):
                way.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            way.writer.transport.abort()
        return self.connections

    async def _connected(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            server, forth = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            back.transport.abort()
            self._tasks.discard(task)
            return
        ways = (_Way("server", client, forth), _Way("client", server, back))
        self._ways.update(ways)
        try:
            await asyncio.gather(*(self._pass(way) for way in ways))
        except (OSError, asyncio.CancelledError):
            pass  # either side has gone, or the proxy stops: what follows ends the other side too
        finally:
            self._ways.difference_update(ways)
            for way in ways:
                way.writer.transport.abort()
            self._tasks.discard(task)

    async def _pass(self, way: _Way) -> None:
        """Pass bytes one way until they end, and then the end."""
        while data := await way.reader.read(min(_CHUNK, max(1, int(self._weather.rate / 10) or _CHUNK))):
            await self._hold(way.side, len(data))
            if not way.shut:
                way.writer.write(data)
                await way.writer.drain()
        await self._hold(way.side, 0)
        if not way.shut:
            way.shut = True
            way.writer.write_eof()

    async def _hold(self, side: Side, size: int) -> None:
        """Wait as long as the weather wants."""
        weather = self._weather
        wait = weather.delay + random.uniform(0, weather.jitter) + (size / weather.rate if weather.rate else 0)
        if wait:
            await asyncio.sleep(wait)
        async with self._moved:
            await self._moved.wait_for(lambda: side not in weather.stalled)
