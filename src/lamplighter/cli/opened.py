"""The store that a command works on, opened for as long as it takes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from urllib.parse import urlsplit

import typer

from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError, StoreUnavailable
from lamplighter.store.base import Store
from lamplighter.store.open import open_store, schema_of

T = TypeVar("T")


def with_store(url: str | None, act: Callable[[Store], Awaitable[T]]) -> T:
    """What `act(store)` returns, with the store that the flag or the settings name.

    Raises:
        StoreUnavailable: there is no such store.
    """
    settings = load(flags={"store": url}).settings

    async def run() -> T:
        async with opened as store:
            return await act(store)

    opened = open_store(settings.store)
    must_exist(settings.store)
    return run_async(run())


def must_exist(url: str) -> None:
    """Look only at what is there: a mistyped name must not become an empty store that says "no jobs"."""
    if urlsplit(url).scheme == "memory":
        raise ConfigError("memory:// ends with its process, so there is nothing to see: name a store with --store.")
    file_must_exist(url)
    if (schema := schema_of(url)) is not None and not run_async(schema.taken()):
        raise StoreUnavailable(
            f"there is nothing of Lamplighter in {schema.what}: correct the store URL, or run `lamplighter migrate`."
        )


def file_must_exist(url: str) -> None:
    """The same, of what is in a file; whether that holds anything is not looked at."""
    if urlsplit(url).scheme != "sqlite":
        return
    from lamplighter.store.sqlite.url import parse  # noqa: PLC0415 - `--help` need not wait for it

    path = parse(url).path.absolute()
    if not path.parent.is_dir():
        raise StoreUnavailable(f"the folder {path.parent} does not exist: create it, or correct the store URL.")
    if not path.exists():
        raise StoreUnavailable(f"there is no file {path}: correct the store URL, or run `lamplighter migrate`.")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, on uvloop where that is installed."""
    try:
        import uvloop  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def until_told(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. SIGTERM ends it as Ctrl-C does: processes, servers and schemas of its own go with it."""
    running = asyncio.ensure_future(work)
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    telling = asyncio.create_task(told.wait())
    try:
        await asyncio.wait([running, telling], return_when=asyncio.FIRST_COMPLETED)
    finally:
        telling.cancel()
        if not running.done():
            running.cancel()
            await asyncio.wait([running])
    if running.cancelled():
        raise typer.Exit(1)
    return running.result()
