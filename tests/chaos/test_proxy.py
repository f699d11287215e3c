"""The proxy does what it says: each control as the two ends of a connection see it."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from newsquake.servers.ports import claim
from tests.chaos.proxy import Proxy


class Echo:
    """A server that answers every byte with itself, and a half-closed way with `bye`."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
                connection.sendall(b"bye")
            except OSError:
                return


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    echo = Echo()
    proxy = Proxy(claim(None, "no setting"), echo.port)
    proxy.start()
    yield proxy
    proxy.stop()
    echo.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as connection:
        assert said(connection, b"hello") == b"hello"
        yield connection


def connect(proxy: Proxy) -> socket.socket:
    host, _, port = proxy.address.partition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def said(connection: socket.socket, question: bytes) -> bytes:
    connection.sendall(question)
    return received(connection, len(question))


def received(connection: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size and (data := connection.recv(size - len(answer))):
        answer += data
    return answer


def test_the_end_of_one_way_is_passed_on_and_the_other_way_stays_open(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    assert received(client, 10) == b"bye"


def test_a_cut_resets_connections_and_new_ones_work(proxy: Proxy, client: socket.socket) -> None:
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with connect(proxy) as again:
        assert said(again, b"again") == b"again"
        assert proxy.connections == 1


def test_an_outage_refuses_until_it_is_over(proxy: Proxy, client: socket.socket) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.accept()
    with connect(proxy) as again:
        assert said(again, b"again") == b"again"


def test_a_delay_holds_each_way_up(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay(0.1, jitter=0.02)
    began = time.monotonic()
    assert said(client, b"slow") == b"slow"
    assert 0.2 <= time.monotonic() - began < 1
    proxy.heal()
    began = time.monotonic()
    assert said(client, b"fast") == b"fast"
    assert time.monotonic() - began < 0.1


def test_a_throttle_passes_so_many_bytes_a_second(proxy: Proxy, client: socket.socket) -> None:
    proxy.throttle(100_000)
    began = time.monotonic()
    assert len(said(client, b"x" * 30_000)) == 30_000
    assert 0.25 < time.monotonic() - began < 2


def test_a_stall_takes_everything_and_passes_nothing_until_it_is_healed(proxy: Proxy, client: socket.socket) -> None:
    proxy.stall()
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        said(client, b"anyone?")
    with connect(proxy) as other:
        other.settimeout(0.2)
        with pytest.raises(TimeoutError):
            said(other, b"anyone?")
        proxy.heal()
        for connection in (client, other):
            connection.settimeout(5)
            assert received(connection, 7) == b"anyone?"


def test_a_stall_of_one_way_lets_the_other_pass(proxy: Proxy, client: socket.socket) -> None:
    proxy.stall("client")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        said(client, b"heard")
    client.shutdown(socket.SHUT_WR)
    proxy.heal()
    client.settimeout(5)
    assert received(client, 20) == b"heardbye"


def test_half_closing_ends_one_way_and_what_is_said_on_it_is_dropped(proxy: Proxy, client: socket.socket) -> None:
    proxy.half_close("client")
    assert client.recv(1) == b""
    client.sendall(b"into the void")  # nobody resets it: the way to the server is open
    time.sleep(0.1)
    client.sendall(b"still")
    assert proxy.connections == 1


def test_half_closing_towards_the_server_lets_its_last_word_through(proxy: Proxy, client: socket.socket) -> None:
    proxy.half_close("server")
    assert received(client, 10) == b"bye"


def test_a_target_that_is_gone_shows_as_a_reset(proxy: Proxy) -> None:
    closed = Proxy(claim(None, "no setting"), claim(None, "no setting"))
    closed.start()
    try:
        with connect(closed) as connection:
            assert connection.recv(1) == b""
    except ConnectionResetError:
        pass
    finally:
        closed.stop()
