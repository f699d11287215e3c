"""Loopback ports: a free one, or a clear error about one that is taken.

Free ports are drawn from below the kernel's ephemeral range (32768 on Linux, 49152 elsewhere). A client that retries
against a dead server on an ephemeral port can be given that very port as its own and connect to itself, and then the
server can never have it back.
"""

import random
import socket

from newsquake.errors import PortTaken, ServerError

LOOPBACK = "127.0.0.1"
_FREE = range(20_000, 32_000)
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def answers(port: int, timeout: float = 0.5) -> bool:
    """Whether something accepts connections on 127.0.0.1:`port`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout):
            return True
    except OSError:
        return False


def claim(port: int | None, setting: str) -> int:
    """`port` if it is free, a free one where it is None; raises `PortTaken` naming the port and its `setting`."""
    if port is None:
        return _any_free()
    if not is_free(port):
        raise PortTaken(f"port {port} on 127.0.0.1 is in use by another program; end it or set {setting} to another")
    return port


def _any_free() -> int:
    for port in random.sample(_FREE, _TRIES):
        if is_free(port):
            return port
    raise ServerError(f"no free port between {_FREE.start} and {_FREE.stop} on 127.0.0.1")
