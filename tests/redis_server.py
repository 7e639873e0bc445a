"""Redis servers of a test's own: private, on free ports and a socket, gone with the test."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30  # seconds for a server to come up


class RedisServer:
    """One server, which keeps nothing on disk unless told to."""

    def __init__(self, folder: Path, *options: object, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.socket = folder / "redis.sock"
        self._options = [str(option) for option in options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket)]
        quiet = ["--dir", str(self.folder), "--logfile", str(self.folder / "log"), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [*command, *quiet, *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, f"no answer from the Redis server on port {self.port}"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def cli(self, *command: object) -> str:
        """What redis-cli says to a command."""
        said = subprocess.run(
            ["redis-cli", "-s", str(self.socket), *map(str, command)], capture_output=True, text=True, check=True
        )
        return said.stdout.strip()

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.socket))
                probe.sendall(b"PING\r\n")
                return bool(probe.recv(1))
        except OSError:
            return False


@contextmanager
def running(*options: object) -> Iterator[RedisServer]:
    """A server that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="lamp-") as folder:  # pytest's own paths are too long for a socket
        server = RedisServer(Path(folder), *options)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
