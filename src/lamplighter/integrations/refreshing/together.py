"""Calls that wait together go as one: a transaction for each of a hundred refreshes costs more than the refreshes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from lamplighter.core.errors import StoreUnavailable

A = TypeVar("A")
R = TypeVar("R")

MOST = 256  # calls in one transaction: it must not keep others out for long


class Together(Generic[A, R]):
    """While one batch is under way the next gathers, and a lone call waits for nobody. For one event loop.

    What fails together is tried one by one, so that nobody pays for another. Only a database that is away is away for
    all of them: each waiting for it anew would keep the last one for minutes.
    """

    def __init__(self, many: Callable[[Sequence[A]], Awaitable[Sequence[R]]]) -> None:
        self._many = many
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def one(self, item: A) -> R:
        """The answer to this item; raises what the batch raised. A cancelled wait does not undo it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:  # in no job's context, for it goes on with what other jobs ask
            self._running = asyncio.create_task(self._run(), context=Context())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._answer([(item, future) for item, future in batch if not future.done()])
        finally:
            self._running = None

    async def _answer(self, batch: Sequence[tuple[A, asyncio.Future[R]]]) -> None:
        if not batch:
            return
        try:
            answers = await self._many([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to whoever asked
            await self._fail(batch, error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _fail(self, batch: Sequence[tuple[A, asyncio.Future[R]]], error: Exception) -> None:
        if len(batch) > 1 and not isinstance(error, StoreUnavailable):
            for one in batch:
                await self._answer([one])
            return
        for _, future in batch:
            if not future.done():
                future.set_exception(error)
