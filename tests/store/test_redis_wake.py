"""Hints of a Redis store: one connection for all who listen in a loop, which is made anew when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from tests.engine.waits import until_true
from tests.services import StartRedis

from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.redis import RedisStore
from lamplighter.testing.conformance._make import add, job
from lamplighter.testing.proxy import FaultyProxy
from lamplighter.testing.servers import RedisServer

SOON = 10  # seconds


@pytest.fixture
def server(start_redis: StartRedis) -> RedisServer:
    return start_redis()


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with RedisStore(f"{server.url}?prefix={uuid4()}&patience=0.3") as opened:
        yield opened


async def hint(hints: AsyncIterator[None]) -> None:
    async with asyncio.timeout(SOON):
        await anext(hints)


def listening(server: RedisServer) -> int:
    """How many connections wait for hints."""
    return str(server.ask("CLIENT", "LIST", "TYPE", "pubsub")).count("id=")


async def test_who_begins_to_listen_is_told_to_look_once(store: RedisStore) -> None:
    await hint(store.wake())


async def test_a_call_gives_one_hint_however_many_jobs_it_names(store: RedisStore, server: RedisServer) -> None:
    hints = store.wake()
    await hint(hints)
    before = calls(server)
    await add(store, *(job() for _ in range(100)))
    await hint(hints)
    assert calls(server) == before + 1


def calls(server: RedisServer) -> int:
    """How often anything was published."""
    [line] = [line for line in server.info("commandstats") if "publish:" in line] or ["calls=0,"]
    return int(line.partition("calls=")[2].partition(",")[0])


async def test_all_who_listen_share_one_connection_and_the_last_closes_it(
    store: RedisStore, server: RedisServer
) -> None:
    one, other = store.wake(), store.wake()
    await asyncio.gather(hint(one), hint(other))
    assert listening(server) == 1
    await one.aclose()  # type: ignore[attr-defined] # it is a generator
    await add(store, job())
    await hint(other)
    await other.aclose()  # type: ignore[attr-defined]
    await until_true(lambda: listening(server) == 0)


async def test_a_lost_connection_is_made_anew_and_hints_at_what_was_missed(
    store: RedisStore, server: RedisServer
) -> None:
    hints = store.wake()
    await hint(hints)
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await hint(hints)
    await add(store, job())
    await hint(hints)


async def test_hints_go_on_after_the_server_was_down(store: RedisStore, server: RedisServer) -> None:
    hints = store.wake()
    await hint(hints)
    server.kill()
    waiting = asyncio.ensure_future(anext(hints))
    with pytest.raises(StoreUnavailable):
        await store.stats()
    assert not waiting.done(), "there is nothing to hint at yet"
    server.start()
    async with asyncio.timeout(SOON):
        await waiting
    await add(store, job())
    await hint(hints)


async def test_a_server_that_goes_silent_is_noticed(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.store.redis.listen.QUIET", 0.05)
    with FaultyProxy("127.0.0.1", server.port) as proxy:
        async with RedisStore(f"{proxy.url_for(server.url)}?patience=0.3") as store:
            hints = store.wake()
            await hint(hints)
            waiting = asyncio.ensure_future(anext(hints))
            proxy.freeze()
            for _ in range(2):  # each takes the patience that the listener has too, and the first outlasts its quiet
                with pytest.raises(StoreUnavailable):
                    await store.stats()
            proxy.thaw()
            async with asyncio.timeout(SOON):
                await waiting


async def test_a_user_that_may_not_listen_is_warned_of_once_and_polls(
    server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.store.redis.listen.LONGEST_PAUSE", 0.01)
    server.ask("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "&*", "+@all", "-ssubscribe", "-subscribe")
    async with RedisStore(f"redis://deaf:pw@127.0.0.1:{server.port}") as store:
        waiting = asyncio.ensure_future(anext(store.wake()))
        await until_true(lambda: refusals(server) > 2)
        await add(store, job())
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
    assert caplog.text.count("found only by looking every second or so: ") == 1


def refusals(server: RedisServer) -> int:
    found = [line for line in server.info("errorstats") if "NOPERM" in line] or ["=0"]
    return int(found[0].rpartition("=")[2])


async def test_who_listens_to_a_store_that_is_closed_hears_of_it(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        hints = store.wake()
        await hint(hints)
        waiting = asyncio.ensure_future(anext(hints))
        await asyncio.sleep(0)  # lets it begin
    with pytest.raises(StoreUnavailable, match="not open any more"):
        await waiting
