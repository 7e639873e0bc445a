"""Each fault of the network looks to clients and server as the real one does."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from lamplighter.testing.proxy import FaultyProxy

SOON = 60.0  # seconds that anything may take on a machine under load
A_WHILE = 0.2  # seconds in which what must not come would have come


class Echo(socketserver.ThreadingTCPServer):
    """Sends back what it gets, and tells how each of its connections ended."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EchoHandler)
        self.port: int = self.server_address[1]
        self.ends: list[str] = []
        self.ended = threading.Condition()

    def wait_for_end(self) -> str:
        with self.ended:
            assert self.ended.wait_for(lambda: self.ends, SOON)
            return self.ends.pop()


class EchoHandler(socketserver.BaseRequestHandler):
    server: Echo

    def handle(self) -> None:
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
            self._tell("closed")
        except ConnectionError:
            self._tell("reset")

    def _tell(self, end: str) -> None:
        with self.server.ended:
            self.server.ends.append(end)
            self.server.ended.notify_all()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultyProxy]:
    with FaultyProxy("127.0.0.1", echo.port) as running:
        yield running


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[socket.socket]:
    with connect(proxy) as connection:
        assert echoed(connection, b"hello") == b"hello"
        yield connection


def connect(proxy: FaultyProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=SOON)


def echoed(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return received(connection, len(data))


def received(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := connection.recv(length - len(data))):
        data += more
    return data


def hears_nothing(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], A_WHILE)
    return not readable


def test_much_is_carried_in_order(client: socket.socket) -> None:
    data = b"".join(b"%08d" % number for number in range(500_000))
    sender = threading.Thread(target=client.sendall, args=[data])
    sender.start()

    assert received(client, len(data)) == data
    sender.join()


def test_the_end_of_a_connection_is_carried_after_all_data(client: socket.socket, echo: Echo) -> None:
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)

    assert received(client, 100) == b"last words"
    assert echo.wait_for_end() == "closed"


def test_a_cut_resets_both_ends_and_new_connections_are_carried(
    client: socket.socket, proxy: FaultyProxy, echo: Echo
) -> None:
    proxy.cut()

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert echo.wait_for_end() == "reset"
    assert proxy.connections == 0
    with connect(proxy) as other:
        assert echoed(other, b"again") == b"again"


def test_a_frozen_network_carries_nothing_and_thaws_with_what_was_sent(
    client: socket.socket, proxy: FaultyProxy
) -> None:
    proxy.freeze()
    client.sendall(b"wait")
    with connect(proxy) as other:  # taken, but nobody is behind it
        other.sendall(b"me too")
        assert hears_nothing(client)
        assert hears_nothing(other)

        proxy.thaw()

        assert received(client, 4) == b"wait"
        assert received(other, 6) == b"me too"


def test_a_frozen_network_hides_that_one_side_is_gone(client: socket.socket, proxy: FaultyProxy, echo: Echo) -> None:
    proxy.freeze()
    client.close()
    with echo.ended:
        assert not echo.ended.wait_for(lambda: echo.ends, A_WHILE)

    proxy.thaw()

    assert echo.wait_for_end() in {"closed", "reset"}


def test_a_frozen_network_can_be_cut(client: socket.socket, proxy: FaultyProxy) -> None:
    proxy.freeze()
    with connect(proxy) as other:
        while proxy.connections < 2:
            time.sleep(0.001)
        proxy.cut()

        for connection in (client, other):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


def test_a_delay_makes_everything_later_in_each_direction(client: socket.socket, proxy: FaultyProxy) -> None:
    proxy.delay(0.1)
    began = time.monotonic()

    assert echoed(client, b"slow") == b"slow"
    assert time.monotonic() - began >= 0.2


def test_who_refuses_lets_nobody_in_until_it_accepts(client: socket.socket, proxy: FaultyProxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert echoed(client, b"still here") == b"still here"

    proxy.accept()
    with connect(proxy) as other:
        assert echoed(other, b"back") == b"back"


def test_healing_ends_every_fault(client: socket.socket, proxy: FaultyProxy) -> None:
    proxy.delay(3600)
    client.sendall(b"on its way")
    proxy.refuse()
    proxy.freeze()

    proxy.heal()

    assert received(client, 10) == b"on its way"
    with connect(proxy) as other:
        assert echoed(other, b"well") == b"well"


def test_a_server_that_is_gone_resets_its_clients() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        # The reset may come so soon that connecting itself meets it.
        with FaultyProxy(*nobody.getsockname()) as proxy, pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(1)


def test_a_proxy_that_ends_leaves_nobody_connected(echo: Echo) -> None:
    with FaultyProxy("127.0.0.1", echo.port) as proxy:
        client = connect(proxy)
        assert echoed(client, b"hello") == b"hello"
        proxy.freeze()

    with client, pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me:se%40cret@db:5432/jobs?schema=x", "postgresql://me:se%40cret@127.0.0.1:{}/jobs?schema=x"),
        ("redis://localhost/0?prefix=x", "redis://127.0.0.1:{}/0?prefix=x"),
        ("redis://[::1]:6379", "redis://127.0.0.1:{}"),
    ],
)
def test_a_url_keeps_all_but_its_place(proxy: FaultyProxy, url: str, expected: str) -> None:
    assert proxy.url_for(url) == expected.format(proxy.port)


def test_a_cut_is_to_a_client_of_postgres_the_end_of_its_session(postgres_url: str) -> None:
    place = psycopg.conninfo.conninfo_to_dict(postgres_url)
    with (
        FaultyProxy(str(place["host"]), int(place["port"] or 5432)) as proxy,
        psycopg.connect(proxy.url_for(postgres_url)) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)

        proxy.cut()

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
