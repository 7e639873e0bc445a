"""PgBouncer in front of a PostgreSQL server: each transaction may get another session of the server than the last."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from lamplighter.testing.servers.base import HOST, PrivateServer, find, someone_but_root
from lamplighter.testing.servers.postgres import NO_SETTINGS

INSTALL = "PgBouncer (Debian, Ubuntu: apt-get install pgbouncer; macOS: brew install pgbouncer)"


class PgBouncerServer(PrivateServer):
    """Lets everyone in, and is to the server behind it the user whom its URL names."""

    name = "pgbouncer"

    def __init__(self, behind: str, settings: Mapping[str, str]) -> None:
        self._program = find("pgbouncer", "usr/sbin/pgbouncer", install=INSTALL)
        super().__init__(None, someone_but_root("postgres"))
        self._behind = urlsplit(behind)
        self._settings = settings

    @property
    def url(self) -> str:
        return self._behind._replace(netloc=f"postgres@{HOST}:{self.port}").geturl()

    def _launch(self) -> None:
        file = self.folder / "pgbouncer.ini"
        file.write_text(self._file())
        if self._user.uid is not None and self._user.gid is not None:
            for ours in (self.folder, file):
                os.chown(ours, self._user.uid, self._user.gid)
        super()._launch()

    def _argv(self) -> Sequence[str]:
        return [str(self._program), str(self.folder / "pgbouncer.ini")]

    def _file(self) -> str:
        behind = {"host": self._behind.hostname, "port": self._behind.port or 5432, "user": self._behind.username}
        password = {"password": self._behind.password} if self._behind.password else {}
        settings = {
            "listen_addr": HOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            **self._settings,
        }
        pairs = " ".join(f"{name}={value}" for name, value in (behind | password).items())
        return f"[databases]\n* = {pairs}\n[pgbouncer]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items())

    def _is_ready(self) -> bool:
        return "process up" in self.log.read_text(errors="replace")


@contextmanager
def private_pgbouncer(postgres_url: str, *, settings: Mapping[str, str] = NO_SETTINGS) -> Iterator[PgBouncerServer]:
    """A bouncer in transaction mode before that server, ready, for as long as the block lasts.

    Args:
        settings: as in the section [pgbouncer] of pgbouncer.ini.

    Raises:
        MissingServer: PgBouncer is not on this machine.
        ServerFailed: it does not start.
    """
    with PgBouncerServer(postgres_url, settings) as server:
        yield server.begin()
