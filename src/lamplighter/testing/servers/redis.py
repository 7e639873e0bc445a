"""A Redis server for one test, or for many."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from lamplighter.testing.servers.ask import Answer, ask
from lamplighter.testing.servers.base import HOST, MissingServer, PrivateServer

INSTALL = "Redis 6.2 or newer, or Valkey (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis)"
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
AppendFsync = Literal["always", "everysec", "no"]


class RedisServer(PrivateServer):
    """One Redis server."""

    name = "redis"

    def __init__(self, folder: Path | None, settings: Mapping[str, str], *mode: str) -> None:
        self._program = _program()
        super().__init__(folder)
        self._settings = settings
        self._mode = mode

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def ask(self, *words: object) -> Answer:
        """Its answer to a command; None too if it does not answer."""
        return ask(self.port, *words)

    def info(self, section: str) -> set[str]:
        """The lines `name:value` that it tells about itself."""
        return set(str(self.ask("INFO", section)).splitlines())

    def _launch(self) -> None:
        self._write_settings()
        super()._launch()

    def _argv(self) -> Sequence[str]:
        return [self._program, str(self.folder / "redis.conf"), *self._mode]

    def _write_settings(self) -> None:
        """In a file, for a server of a cluster and a sentinel write there what they learn."""
        file = self.folder / "redis.conf"
        if not file.exists() or f"\nport {self.port}\n" not in file.read_text():
            given = {"bind": HOST, "dir": f'"{self.folder}"', **self._settings}
            lines = [f"{name} {value}\n" for name, value in given.items()]
            file.write_text("".join([*lines, f"port {self.port}\n"]))

    def _is_ready(self) -> bool:
        return self.ask("PING") == "PONG" and f"process_id:{self.pid}" in self.info("server")


@contextmanager
def private_redis(
    folder: Path | None = None, *, appendfsync: AppendFsync | None = None, settings: Mapping[str, str] = NO_SETTINGS
) -> Iterator[RedisServer]:
    """A server of its own on a free port of 127.0.0.1, ready, for as long as the block lasts.

    Args:
        folder: where it keeps its data, which then stays; a temporary one by default.
        appendfsync: when a write reaches the disk; None keeps everything in memory alone.
        settings: as in redis.conf.

    Raises:
        MissingServer: Redis is not on this machine.
        ServerFailed: it does not start.
    """
    with RedisServer(folder, {**persistence(appendfsync), **settings}) as server:
        yield server.begin()


def persistence(appendfsync: AppendFsync | None) -> dict[str, str]:
    """The settings for it. A snapshot now and then would be of no use here."""
    log = {"appendonly": "yes", "appendfsync": appendfsync} if appendfsync else {"appendonly": "no"}
    return {"save": '""', **log}


def _program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    raise MissingServer(f"redis-server is not on this machine: install {INSTALL}.")
