"""A PostgreSQL cluster for one test, or for many."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from lamplighter.testing.servers.base import HOST, PrivateServer, ServerFailed, find, someone_but_root

INSTALL = "PostgreSQL 13 or newer (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql)"
STOP = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

_NEVER_FLUSHED = {"fsync": "off", "full_page_writes": "off"}
_INITDB = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
_IPC_RMID = 0


class PostgresServer(PrivateServer):
    """Superuser `postgres`, trusted on 127.0.0.1."""

    name = "postgres"
    last = signal.SIGQUIT  # lets go of shared memory, which SIGKILL would leave to the next who starts it
    polite = STOP["fast"]

    def __init__(self, folder: Path | None, *, fsync: bool, settings: Mapping[str, str]) -> None:
        self._programs = _programs()
        super().__init__(folder, someone_but_root("postgres"))
        self._data = self.folder / "data"
        self._settings = {**({} if fsync else _NEVER_FLUSHED), **settings}

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End it: `fast` in good order, `immediate` at once, so that its next start has to recover."""
        self._stop(STOP[mode])

    def close(self) -> None:
        if self._guarded.ended(0):
            self._free_shared_memory()
        super().close()

    def make(self) -> None:
        """Make its data folder, unless there is one from an earlier server."""
        if (self._data / "PG_VERSION").exists():
            return
        self._own_folder()
        command = [str(self._programs / "initdb"), *_INITDB, "--pgdata", str(self._data)]
        self._guarded.start(command, self.log, self._user)
        self._wait_for_end()
        if self._guarded.code:
            raise ServerFailed(f"initdb could not make a cluster: {self._last_words()}.")

    def _argv(self) -> Sequence[str]:
        fixed = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",  # their paths may not be longer than 107 bytes, and nobody needs one
            "dynamic_shared_memory_type": "mmap",  # files in the data folder, which go with it even after SIGKILL
        }
        options = [f"--{name}={value}" for name, value in {**self._settings, **fixed}.items()]
        return [str(self._programs / "postgres"), "-D", str(self._data), *options]

    def _is_ready(self) -> bool:
        lines = self._status()
        return lines[:1] == [str(self.pid)] and lines[7:8] == ["ready"]

    def _status(self) -> list[str]:
        """What `pg_ctl` goes by too: the process first, its shared memory seventh, then whether it is ready."""
        try:
            return [line.strip() for line in (self._data / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _own_folder(self) -> None:
        if self._user.uid is not None and self._user.gid is not None:
            os.chown(self.folder, self._user.uid, self._user.gid)
            self._check_reach(self._user.uid)

    def _check_reach(self, uid: int) -> None:
        for above in self.folder.parents:
            if not above.stat().st_mode & 0o001 and above.stat().st_uid != uid:
                raise ServerFailed(
                    f"PostgreSQL does not run as root, and {above} lets no other user through: "
                    "give another folder, or name one in TMPDIR."
                )

    def _free_shared_memory(self) -> None:
        """A cluster that was killed left a few bytes to find its survivors by; its next start would have taken them."""
        for found in self._status()[6:7]:
            ctypes.CDLL(None).shmctl(int(found.split()[1]), _IPC_RMID, None)


@contextmanager
def private_postgres(
    folder: Path | None = None, *, fsync: bool = True, settings: Mapping[str, str] = NO_SETTINGS
) -> Iterator[PostgresServer]:
    """A cluster of its own on a free port of 127.0.0.1, ready, for as long as the block lasts.

    Args:
        folder: where it keeps its data, which then stays; a temporary one by default.
        fsync: whether a commit waits for the disk. Without it, only the loss of the machine loses commits.
        settings: as in postgresql.conf.

    Raises:
        MissingServer: PostgreSQL is not on this machine.
        ServerFailed: it does not start.
    """
    with PostgresServer(folder, fsync=fsync, settings=settings) as server:
        server.make()
        yield server.begin()


def _programs() -> Path:
    """The folder with `postgres` and `initdb`; Debian has none of them on PATH."""
    if (on_path := shutil.which("postgres")) and (there := Path(on_path).resolve().with_name("initdb")).exists():
        return there.parent
    return find("initdb", "usr/lib/postgresql/*/bin/initdb", "usr/pgsql-*/bin/initdb", install=INSTALL).parent
