"""A receiver on loopback: an HTTP server that behaves as it is told."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from alerts.message import Message

PAYLOAD: dict[str, Any] = {"schema_version": 1, "alert_id": 7, "event_id": 11, "kind": "fired", "severity": "warning"}
PAYLOAD |= {"topic": "debt", "stream": "news", "topics": ["debt"], "streams": ["news"]}
PAYLOAD |= {"at": "2026-03-02T09:00:00+00:00", "opened_at": "2026-03-02T09:00:00+00:00"}


def message(**changes: Any) -> Message:
    return Message("Newsquake: spike", "nine of ten", "key-1", PAYLOAD | changes)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Receiver:
    """Answers with `answers`, one a request, the last one ever after: status, headers; 0 cuts, -1 hangs. And `says`."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=lambda: [(200, {})])
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    says: bytes = b""


@contextmanager
def receiving(*answers: tuple[int, dict[str, str]]) -> Iterator[Receiver]:
    """Such a server, until the block ends."""
    receiver = Receiver(answers=list(answers) or [(200, {})])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = receiver.answers[min(len(receiver.got), len(receiver.answers) - 1)]
            receiver.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if status == -1:
                time.sleep(0.6)
            if status <= 0:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(receiver.says)))
            self.end_headers()
            self.wfile.write(receiver.says)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
