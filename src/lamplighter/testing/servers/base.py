"""What every server has in common: it starts on a free port, is killed, starts again, and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from lamplighter.core.errors import LamplighterError
from lamplighter.testing.servers.guarded import OURSELVES, Guarded, User

HOST = "127.0.0.1"
STARTING = 60.0  # seconds that a start may take on a machine under load
STOPPING = 60.0

# Below the ports that the kernel gives to outgoing connections and to whoever binds port 0: none of those can take a
# server's port while it is down.
_PORTS = range(10_000, 22_000)
_PORTS_TRIED = 5


class MissingServer(LamplighterError):
    """A server's program is not on this machine; the message says what to install."""


class ServerFailed(LamplighterError):
    """A server did not start, or did not stop; the message has the last lines of its log."""


class PrivateServer(ABC):
    """A server of this process alone: it ends with the block that it was made for, or with this process.

    A `folder` that was given stays, and so does what is in it; without one the server has a temporary folder.
    """

    name: str
    last = signal.SIGKILL  # what ends it where nobody cares for what it still has to say
    polite = signal.SIGTERM
    beside = 0  # it listens on the port so much higher too

    def __init__(self, folder: Path | None = None, user: User = OURSELVES) -> None:
        self.folder = folder.absolute() if folder else Path(tempfile.mkdtemp(prefix=f"lamplighter-{self.name}-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self._user = user
        self._guarded = Guarded([] if folder else [self.folder], last=self.last)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it."""

    @property
    def pid(self) -> int:
        """Its process, or the last one if it does not run."""
        return self._guarded.pid

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "server.log"

    def kill(self) -> None:
        """SIGKILL to all its processes, as when its machine loses power but not its disk's cache."""
        if self._guarded.ended(0):  # its pid may be another's by now
            return
        processes = [self.pid, *children(self.pid)]
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._wait_for_end()
        while any(runs(pid) for pid in processes):  # nothing survives SIGKILL, but PostgreSQL starts on no survivor
            time.sleep(0.001)

    def stop(self) -> None:
        """Ask it to end in good order, and wait until it has."""
        self._stop(self.polite)

    def start(self) -> None:
        """Start it again, on the same data and port."""
        self._launch()
        self._wait_until_ready()

    def close(self) -> None:
        """End it, and remove what it kept."""
        self._guarded.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self) -> Self:
        """The first start: on any port that is free."""
        for _ in range(_PORTS_TRIED):
            self.port = free_port(self.beside)
            with contextlib.suppress(_PortTaken):
                self.start()
                return self
        raise ServerFailed(f"{self.name} found no free port in {_PORTS_TRIED} tries: try again.")

    @abstractmethod
    def _argv(self) -> Sequence[str]:
        """The command that runs it in the foreground, on `self.port`."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether the process that was started, and no other on its port, answers."""

    def _launch(self) -> None:
        self.log.write_bytes(b"")
        self._guarded.start(self._argv(), self.log, self._user)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTING
        while not self._is_ready():
            if self._guarded.ended(0.01):
                raise self._failure()
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready within {STARTING:.0f} s: {self._last_words()}.")

    def _failure(self) -> ServerFailed:
        kind = _PortTaken if "Address already in use" in self.log.read_text(errors="replace") else ServerFailed
        return kind(f"{self.name} ended as soon as it had started: {self._last_words()}.")

    def _last_words(self) -> str:
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-3:]) or "it said nothing"

    def _stop(self, how: signal.Signals) -> None:
        if not self._guarded.ended(0):
            os.kill(self.pid, how)
            self._wait_for_end()

    def _wait_for_end(self) -> None:
        if not self._guarded.ended(STOPPING):
            raise ServerFailed(f"{self.name} did not end within {STOPPING:.0f} s: kill() it.")


class _PortTaken(ServerFailed):
    """Another process was faster."""


def free_port(beside: int = 0) -> int:
    """A port that nobody listens on now; `beside`: nor on the one so much higher."""
    while True:
        port = random.choice(_PORTS)
        if _is_free(port) and _is_free(port + beside):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that has ended blocks no server
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def find(program: str, *elsewhere: str, install: str) -> Path:
    """A program on PATH, or where a glob pattern finds it; the last match, which is the newest version.

    Raises:
        MissingServer: it is in neither place.
    """
    found = [*sorted(path for pattern in elsewhere for path in Path("/").glob(pattern)), shutil.which(program)]
    if known := [Path(path) for path in found if path]:
        return known[-1].resolve()
    raise MissingServer(f"{program} is not on this machine: install {install}.")


def someone_but_root(*names: str) -> User:
    """The first of these users that there is, for servers that refuse to run as root; ourselves if we are not root."""
    if os.geteuid() != 0:
        return OURSELVES
    for name in (*names, "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return User(entry.pw_uid, entry.pw_gid)
    raise MissingServer(f"this server does not run as root, and there is no user {' or '.join(names)}: add one.")


def children(pid: int) -> list[int]:
    """The processes it started itself; none where the system has no /proc."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _stat(path)[1:2] == [str(pid)]]


def runs(pid: int) -> bool:
    """Whether it has not ended yet; one that nobody has waited for has."""
    return _stat(Path(f"/proc/{pid}"))[:1] not in ([], ["Z"])


def _stat(process: Path) -> list[str]:
    """Its state, its parent, and more; nothing if there is no such process."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
