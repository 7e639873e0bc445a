"""The seam between the engine and a store: what a store is asked below a span of somebody's has a span of its own.

The loops of a worker ask all the time and below no span; how long that takes is for metrics to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from lamplighter.observe.tracing import is_sampled, store_call, tracer
from lamplighter.store.base import Store

CALLS = frozenset({
    "add", "beat", "cancel", "claim", "drop", "failures", "finish", "gates", "log", "logs", "order", "page", "pause",
    "prune", "put", "records", "retry", "shares", "stats", "sweep", "time",
})  # fmt: skip

SYSTEMS = {"postgres": "postgresql", "rediss": "redis"}


def traced(store: Store) -> Store:
    """The same store, whose calls can be seen."""
    return cast(Store, _Traced(store))


class _Traced:
    """Hands out the store's own methods, where nobody looks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return partial(self._call, name, found) if name in CALLS and is_sampled() else found

    async def __aenter__(self) -> Store:
        await self._store.__aenter__()
        return cast(Store, self)

    async def __aexit__(self, *exc: object) -> None:
        await self._store.__aexit__(*exc)

    async def _call(self, name: str, found: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **options: Any) -> Any:
        spans = tracer()
        if spans is None:
            return await found(*args, **options)
        scheme = urlsplit(self._store.url).scheme
        with store_call(spans, SYSTEMS.get(scheme, scheme), name):
            return await found(*args, **options)
