"""A door before Tansu, for clients on librdkafka: it simplifies Tansu's first answer and then only passes bytes on.

Tansu ends its answer to ApiVersions (version 3 and up) with tagged fields of one byte. librdkafka 2.0, which is
what kcat in current Debian is built on, skips a tagged field one byte short, reads on in the wrong place and gives the
broker up. The fields are optional by Kafka's protocol (KIP-482), so they are left out here.
"""

import asyncio
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from newsquake.errors import ServerError
from newsquake.servers.ports import LOOPBACK

_API_VERSIONS, _FLEXIBLE = 18, 3
_LARGEST_FIRST = 1 << 16  # bytes; a first request beyond this is not a handshake
_ENTRY = 7  # bytes of one API: key, lowest and highest version (int16 each), no tagged fields
_CHUNK = 1 << 16


def without_tags(answer: bytes) -> bytes:
    """An ApiVersions answer, correlation id first, without its trailing tagged fields; any other answer as it is."""
    count, at = 0, 6
    for shift in range(0, 35, 7):
        if at >= len(answer):
            return answer
        byte, at = answer[at], at + 1
        count |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    end = at + (count - 1) * _ENTRY + 4
    entries = answer[at : end - 4]
    if answer[4:6] != b"\0\0" or count < 1 or end >= len(answer) or any(entries[_ENTRY - 1 :: _ENTRY]):
        return answer
    return answer[:end] + b"\0"


class Front:
    """Listens on 127.0.0.1:`port` and hands every connection to `target`, a port on the same machine."""

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self._thread: threading.Thread | None = None
        self._close: Callable[[], object] = int  # nothing to close yet
        self._open: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Return once it listens; raises `ServerError` where it cannot. Nothing happens where it does already."""
        if self._thread and self._thread.is_alive():
            return
        listening: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)), name="broker-front", daemon=True
        )
        self._thread.start()
        try:
            listening.result()
        except OSError as error:
            raise ServerError(f"port {self._port} cannot be listened on: {error.strerror}") from None

    def stop(self) -> None:
        """Close the door and every connection."""
        if self._thread and self._thread.is_alive():
            self._close()
            self._thread.join(2)

    async def _serve(self, listening: "Future[None]") -> None:
        loop, closing = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(self._accept, LOOPBACK, self._port)
        except OSError as error:
            listening.set_exception(error)
            return
        self._close = lambda: loop.call_soon_threadsafe(closing.set)
        listening.set_result(None)
        await closing.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            broker, forth = await asyncio.open_connection(LOOPBACK, self._target)
            try:
                await _handshake(client, back, broker, forth)
                await _pass_both(client, back, broker, forth)
            finally:
                forth.close()
                await forth.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side has gone, or the door closes: what follows closes the other side too
        finally:
            back.close()
            with suppress(OSError):
                await back.wait_closed()
            self._open.discard(task)


async def _handshake(
    client: asyncio.StreamReader,
    back: asyncio.StreamWriter,
    broker: asyncio.StreamReader,
    forth: asyncio.StreamWriter,
) -> None:
    """Pass the first request on, and its answer too if it is the one to simplify."""
    head = await client.readexactly(8)
    size, key, version = struct.unpack(">ihh", head)
    forth.write(head)
    if key != _API_VERSIONS or version < _FLEXIBLE or not 4 <= size <= _LARGEST_FIRST:
        return
    forth.write(await client.readexactly(size - 4))
    await forth.drain()
    answer = await broker.readexactly(struct.unpack(">i", await broker.readexactly(4))[0])
    answer = without_tags(answer)
    back.write(struct.pack(">i", len(answer)) + answer)
    await back.drain()


async def _pass_both(
    client: asyncio.StreamReader,
    back: asyncio.StreamWriter,
    broker: asyncio.StreamReader,
    forth: asyncio.StreamWriter,
) -> None:
    """Pass bytes both ways until either side has ended."""
    ways = {asyncio.create_task(_pass(client, forth)), asyncio.create_task(_pass(broker, back))}
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
