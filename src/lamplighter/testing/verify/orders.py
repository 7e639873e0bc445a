"""What a process of the run is told to do. It comes as the first line of its stdin: a command line is for all to read,
and the store's URL may hold a password."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from lamplighter.store.base import Store
from lamplighter.store.open import open_store

Role = Literal["worker", "enqueuer"]

PRUNE_EVERY = 3.0  # seconds, of workers: so that pruning too happens many times in a run

_DIE_WITH_PARENT = 1  # Linux: PR_SET_PDEATHSIG


class Orders(Struct, frozen=True, kw_only=True):
    """`offset`: how far the process's wall clock is off, in seconds. `share` of `of`: which tasks an enqueuer adds,
    evenly from the moment `begins` (monotonic) for `lasts` seconds. `wrap`: a `module:function` that is given the
    store, and returns what is used in its place."""

    role: Role
    name: str
    url: str
    folder: str
    seed: int
    lease: float
    jobs: int = 0
    share: int = 0
    of: int = 1
    begins: float = 0.0
    lasts: float = 0.0
    offset: float = 0.0
    crons: bool = False
    until_idle: bool = False
    concurrency: int = 20
    transactions: bool = False
    wrap: str | None = None

    def open_store(self) -> Store:
        """The store, not opened yet."""
        store = open_store(self.url)
        if self.wrap is None:
            return store
        module, _, name = self.wrap.partition(":")
        wrap: Callable[[Store], Store] = getattr(importlib.import_module(module), name)
        return wrap(store)

    @property
    def path(self) -> Path:
        """Where the journals are."""
        return Path(self.folder)


def read_orders() -> Orders:
    """The first line of stdin. From here on this process does not outlive the one that started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)  # it may be stopped when the other one dies
    return msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)


@contextlib.asynccontextmanager
async def commands(end: Callable[[], object]) -> AsyncIterator[asyncio.Queue[str]]:
    """The further lines of stdin; `end` is called where it ends, and at SIGTERM."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[str] = asyncio.Queue()

    def hear() -> None:
        text = os.read(sys.stdin.fileno(), 4096).decode()
        for line in text.splitlines():
            heard.put_nowait(line)
        if not text:
            loop.remove_reader(sys.stdin.fileno())
            end()

    loop.add_reader(sys.stdin.fileno(), hear)
    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        yield heard
    finally:
        loop.remove_reader(sys.stdin.fileno())
        loop.remove_signal_handler(signal.SIGTERM)
