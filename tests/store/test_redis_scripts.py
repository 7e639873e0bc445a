"""The scripts of the Redis store: each says what it takes and gives, and keeps to the keys of its prefix."""

from __future__ import annotations

import inspect
from importlib.resources import files
from uuid import uuid4

import pytest
from tests.services import StartRedis

from lamplighter.core.model import Keep, Record, State, Where
from lamplighter.store import redis
from lamplighter.store.redis import RedisStore
from lamplighter.store.redis.rows import Row
from lamplighter.store.redis.scripts import script
from lamplighter.testing.conformance._make import (
    LEASE,
    NOW,
    add,
    children_of,
    claim,
    ended,
    failure,
    job,
    later,
    outcome,
    parent,
    unique,
)

LUA = files(redis).joinpath("lua")
NAMES = sorted(file.name.removesuffix(".lua") for file in LUA.iterdir() if not file.name.startswith("_"))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_what_it_does_takes_and_returns(name: str) -> None:
    head = LUA.joinpath(f"{name}.lua").read_text().partition("\nlocal ")[0]
    assert head.startswith("-- ")
    assert "-- KEYS[1] {prefix}" in head
    assert "-- Returns " in head


@pytest.mark.parametrize("name", NAMES)
def test_a_script_has_no_include_left_and_none_twice(name: str) -> None:
    source = script(name).source.decode()
    assert "-- include" not in source
    assert source.count("local STATE,") <= 1


def test_the_fields_of_a_job_are_as_many_as_its_header_says() -> None:
    fields = list(inspect.signature(Row).parameters)
    headers = {r"'\220\000\027'": "args", r"'\220\000\030'": "on_failure", r"'\220\000\034'": "cancelled"}
    for header, last in headers.items():
        assert header in script("page").source.decode()
        assert fields[int(header[-4:-1]) - 1] == last


async def test_all_keys_begin_with_the_prefix_and_none_is_left_behind(start_redis: StartRedis) -> None:
    server = start_redis()
    async with RedisStore(f"{server.url}?prefix={uuid4()}") as store:
        prefix = store.url.split("prefix=")[1]
        for verb in ("done", "fail", "cancel", "retry"):
            await ended(store, verb, new=unique(verb, mode="active"), keep_until=later(9), run_at=later(1))
        await add(store, unique("p", mode="period", until=later(9)), job(queue="a"), job(queue="b"))
        held = parent(3)
        await add(store, held, *children_of(held, 3, queue="c"))
        failing, doing = await claim(store, 2, queue="c")
        ends = [outcome(failing, "fail", keep_until=NOW), outcome(doing, "done", keep_until=NOW)]
        await store.finish(ends, now=NOW)
        assert await store.prune(Keep(0, 0), limit=0, now=NOW) == 0
        assert await store.prune(Keep(), limit=9, now=NOW) == 0, "they are put aside"
        for attempt in await store.claim(["a", "b"], 9, worker="w", lease=LEASE, now=NOW):
            await store.finish([outcome(attempt, "fail", failure=failure(attempt), keep_until=later(9))], now=NOW)
        await store.pause("a", paused=True)
        await store.put(Record(kind="k", name="n", value="1", expires_at=later(9)))
        keys = server.ask("KEYS", "*")
        assert isinstance(keys, list)
        assert len(keys) > 15
        assert {str(key).startswith(f"{{{prefix}}}:") for key in keys} == {True}

        await store.pause("a", paused=False)
        await store.cancel(Where(), limit=100, now=NOW, keep_until=NOW)
        assert await claim(store) == []
        await store.prune(Keep(), limit=100, now=later(9))
        assert server.ask("KEYS", "*") == [f"{{{prefix}}}:schema"], "memory that is not needed is given back"


async def test_nothing_is_left_of_a_family_that_is_forgotten(start_redis: StartRedis) -> None:
    server = start_redis()
    async with RedisStore(server.url) as store:
        held = parent(2)
        await add(store, held, *children_of(held, 2))
        done, failing = await claim(store, 2)
        ends = [outcome(done, "done", keep_until=NOW), outcome(failing, "fail", failure=failure(failing))]
        await store.finish(ends, now=NOW)
        assert await store.prune(Keep(0, 0), limit=9, now=NOW) == 0, "its children are put aside"
        await store.sweep(9, now=NOW)
        assert len(await store.forget(Where(), limit=9)) == 3
        await store.prune(Keep(), limit=9, now=NOW)
        assert server.ask("KEYS", "*") == ["{lamplighter}:schema"]


async def test_running_jobs_are_found_behind_a_great_many_that_wait(start_redis: StartRedis) -> None:
    server = start_redis()
    async with RedisStore(server.url) as store:
        oldest, *_ = await add(store, *(job(run_at=later(-9)) for _ in range(2)), *(job() for _ in range(3000)))
        await claim(store, 1)
        server.ask("CONFIG", "RESETSTAT")
        [view] = await store.page(Where(states=(State.RUNNING,)), limit=10)
        assert view.id == oldest
        [line] = [line for line in server.info("commandstats") if "_evalsha:" in line]
        assert int(line.partition("calls=")[2].partition(",")[0]) < 5, "it did not look at all that live"
