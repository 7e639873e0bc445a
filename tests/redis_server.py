"""Redis servers of a test's own: private, on free ports and a socket, gone with the test."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PATIENCE = 30  # seconds for a server to come up


class RedisServer:
    """One server, which keeps nothing on disk unless told to; or a Sentinel."""

    def __init__(self, folder: Path, *options: object, sentinel_of: RedisServer | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.socket = folder / "redis.sock"
        self._options = [str(option) for option in options]
        self._sentinel_of = sentinel_of
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket)]
        options += ["--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        command = self._sentinel() if self._sentinel_of else ["redis-server", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [*command, *options, *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, f"no answer from the Redis server on port {self.port}"
            time.sleep(0.01)

    def _sentinel(self) -> list[str]:
        assert self._sentinel_of is not None
        settings = self.folder / "sentinel.conf"
        settings.write_text(
            f"sentinel monitor jobs 127.0.0.1 {self._sentinel_of.port} 1\n"
            "sentinel down-after-milliseconds jobs 300\n"
            "sentinel failover-timeout jobs 3000\n"
        )
        return ["redis-server", str(settings), "--sentinel"]

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it take connections and bytes, but answer nothing: as behind a network that swallows them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

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
def running(*options: object, sentinel_of: RedisServer | None = None) -> Iterator[RedisServer]:
    """A server that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="lamp-") as folder:  # pytest's own paths are too long for a socket
        server = RedisServer(Path(folder), *options, sentinel_of=sentinel_of)
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


@contextmanager
def cluster(nodes: int = 3, *, replicas: int = 0) -> Iterator[list[RedisServer]]:
    """Servers that share the slots among them; each with so many replicas, which count among the nodes."""
    with ExitStack() as stack:
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port"]
        servers = [stack.enter_context(running(*options, free_port())) for _ in range(nodes)]
        join(servers, replicas)
        yield servers


def join(servers: list[RedisServer], replicas: int) -> None:
    """Make a cluster of new servers."""
    addresses = [f"127.0.0.1:{server.port}" for server in servers]
    command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", str(replicas)]
    subprocess.run([*command, "--cluster-yes"], check=True, stdout=subprocess.DEVNULL)
    wait(lambda: all("cluster_state:ok" in server.cli("CLUSTER", "INFO") for server in servers), "the cluster is up")


def wait(until: Callable[[], bool], what: str) -> None:
    """Look again and again, for a server tells nobody of such things."""
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)


@contextmanager
def watched(*options: object) -> Iterator[tuple[RedisServer, RedisServer, RedisServer]]:
    """A master called `jobs`, its replica, and a Sentinel that watches them."""
    with running(*options) as master, running(*options, "--replicaof", "127.0.0.1", master.port) as replica:
        wait(lambda: "master_link_status:up" in replica.cli("INFO", "replication"), "the replica has its master")
        with running(sentinel_of=master) as sentinel:
            wait(lambda: "num-slaves\n1" in sentinel.cli("SENTINEL", "MASTER", "jobs"), "Sentinel knows the replica")
            yield master, replica, sentinel
