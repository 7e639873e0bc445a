"""Stores on servers, on uvloop, as the command line runs them: its transports are no subclass of asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop
from tests.services import STORES, StartRedis

from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.base import Store
from lamplighter.store.open import open_store
from lamplighter.testing.conformance._make import EVERY, add, claim, end, job
from lamplighter.testing.proxy import FaultyProxy

Run = Callable[[Coroutine[Any, Any, None]], None]

SOON = 30  # seconds
SERVERS = ["postgres", "redis"]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.run


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(STORES[request.param]))


async def live(store: Store) -> None:
    """A job is added, hinted at, claimed and finished."""
    async with store, asyncio.timeout(SOON):
        hints = store.wake()
        await anext(hints)  # it listens from now on
        hint = asyncio.ensure_future(anext(hints))
        [id_] = await add(store, job())
        await hint
        [attempt] = await claim(store)
        await end(store, attempt, "done")
        [view] = await store.page(EVERY, limit=2)
        assert (view.id, view.state) == (id_, "done")


@pytest.mark.parametrize("url", [*SERVERS, "redis cluster"], indirect=True)
def test_a_job_lives_on_uvloop_as_elsewhere(url: str, run: Run) -> None:
    run(live(open_store(url)))


def test_a_socket_is_reached_on_uvloop_too(start_redis: StartRedis, run: Run) -> None:
    server = start_redis(settings={"unixsocket": "redis.sock"})
    run(live(open_store(f"unix://{server.folder}/redis.sock")))


@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_a_server_that_was_lost_is_found_again_on_uvloop_too(url: str, run: Run) -> None:
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    with FaultyProxy(place.hostname, place.port) as proxy:

        async def lose() -> None:
            store = open_store(f"{proxy.url_for(url)}&patience=0.3")
            async with store, asyncio.timeout(SOON):
                hints = store.wake()
                await anext(hints)
                proxy.freeze()
                with pytest.raises(StoreUnavailable):
                    await claim(store)
                proxy.cut()
                proxy.thaw()
                await anext(hints)
                [id_] = await add(store, job())
                assert [attempt.id for attempt in await claim(store)] == [id_]

        run(lose())
