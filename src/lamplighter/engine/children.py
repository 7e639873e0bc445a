"""What became of the children of a job: read page by page, for there may be very many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from lamplighter.core.errors import ConfigError
from lamplighter.core.ids import place_of
from lamplighter.core.model import JobView, State, Where
from lamplighter.store.base import Store

AT_ONCE = 500  # children in one read


class Child(Struct, frozen=True, kw_only=True):
    """A job that another was, or is, held for.

    `result` is what it returned, as JSON has it; `reason`: why it failed or was cancelled.
    `place`: which of them it is, from 0, if they were enqueued as a flow.
    """

    id: str
    name: str
    state: State
    result: Any = None
    reason: str | None = None
    place: int | None = None


class Offspring(Protocol):
    """The children of one job, the last first: `async for child in ...`, or `for` in a handler that runs in a thread.

    Those that have ended and are not kept any longer are missing. While the job lives, all are kept.
    """

    def __aiter__(self) -> AsyncIterator[Child]: ...
    def __iter__(self) -> Iterator[Child]: ...


class Given:
    """Those that a test makes up."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children

    async def __aiter__(self) -> AsyncIterator[Child]:
        for child in self._children:
            yield child

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children)


class Stored:
    """Those in a store. `loop`: where a thread may have it asked."""

    def __init__(
        self, store: Store, job: str, states: Sequence[State] = (), loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._store = store
        self._job = job
        self._where = Where(groups=(job,), states=tuple(states))
        self._loop = loop

    async def __aiter__(self) -> AsyncIterator[Child]:
        before: str | None = None
        while views := await self._page(before):
            for view in views:
                yield _child_of(view, self._job)
            before = views[-1].id

    def __iter__(self) -> Iterator[Child]:
        if self._loop is None or _runs_here(self._loop):
            raise ConfigError("children are read from the store: write `async for child in ...` here.")
        before: str | None = None
        while views := asyncio.run_coroutine_threadsafe(self._page(before), self._loop).result():
            for view in views:
                yield _child_of(view, self._job)
            before = views[-1].id

    async def _page(self, before: str | None) -> list[JobView]:
        return await self._store.page(self._where, limit=AT_ONCE, before=before)


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _child_of(view: JobView, parent: str) -> Child:
    return Child(
        id=view.id,
        name=view.name,
        state=view.state,
        result=None if view.result is None else msgspec.json.decode(view.result),
        reason=view.reason,
        place=place_of(view.id, parent),
    )
