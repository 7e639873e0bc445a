"""A function in a thread of its own, awaited from the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], name: str) -> T:
    """What `work()` returns or raises.

    The thread is a daemon of its own: a pool's threads would keep the process from ending while one of them hangs.
    When the caller is cancelled the thread goes on, unheard.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            answer, error = work(), None
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the work is awaited
            answer, error = None, raised
        try:
            loop.call_soon_threadsafe(_settle, future, answer, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True).start()
    return await future


def _settle(future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(answer)
    elif isinstance(error, StopIteration | GeneratorExit):  # a future refuses the one, a coroutine ends of the other
        future.set_exception(RuntimeError(f"the function raised {type(error).__name__}."))
    else:
        future.set_exception(error)
