"""A real cluster of three nodes: any of them leads to the one that has our keys, and the suite passes there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from uuid import uuid4

import pytest
from hypothesis import settings
from tests.redis_server import RedisServer, cluster, wait

from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.base import Store
from lamplighter.store.redis import RedisStore
from lamplighter.testing.conformance import *  # noqa: F403
from lamplighter.testing.conformance._make import NOW, OpenAgain, add, claim, ids_of, job
from lamplighter.testing.conformance.model import HISTORIES, compare

FEW = settings(HISTORIES, max_examples=30)  # the scripts are those of a single server, which lives through many more


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[RedisServer]]:
    with cluster() as servers:
        yield servers


@pytest.fixture
async def store(nodes: list[RedisServer]) -> AsyncIterator[RedisStore]:
    async with RedisStore(f"{nodes[0].url}?prefix={uuid4()}&patience=20") as opened:
        yield opened


@pytest.fixture
def open_again(store: RedisStore) -> OpenAgain:
    return partial(RedisStore, store.url)


async def test_every_history_is_that_of_the_model(store: Store) -> None:
    await asyncio.to_thread(compare, store, FEW)


async def test_each_node_leads_to_the_same_jobs(nodes: list[RedisServer]) -> None:
    prefix = uuid4()
    async with RedisStore(f"{nodes[0].url}?prefix={prefix}") as store:
        [id_] = await add(store, job())
    for node in nodes:
        async with RedisStore(f"{node.url}?prefix={prefix}") as store:
            assert await ids_of(store) == [id_]


async def test_different_prefixes_lie_on_different_nodes(nodes: list[RedisServer]) -> None:
    prefixes = [str(uuid4()) for _ in range(32)]
    for prefix in prefixes:
        async with RedisStore(f"{nodes[0].url}?prefix={prefix}") as store:
            await add(store, job())
    assert all(any(keys_under(node, prefix) for prefix in prefixes) for node in nodes)


async def test_a_slot_that_moves_is_waited_for_and_then_found(nodes: list[RedisServer]) -> None:
    async with RedisStore(f"{nodes[0].url}?prefix={uuid4()}&patience=0.2") as store:
        before = await add(store, job())
        prefix = store.url.split("prefix=")[1].split("&")[0]
        [source] = [node for node in nodes if keys_under(node, prefix)]
        target = next(node for node in nodes if node is not source)
        slot = source.cli("CLUSTER", "KEYSLOT", f"{{{prefix}}}")
        target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", source.cli("CLUSTER", "MYID"))
        source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", target.cli("CLUSTER", "MYID"))
        with pytest.raises(StoreUnavailable, match="handing our keys to another node"):
            await store.add([job()], now=NOW)
        move(source, target, slot)
        [attempt] = await claim(store)
        assert [attempt.id] == before, "nothing was lost or done by halves on the way"
        move_back = target.cli("CLUSTER", "COUNTKEYSINSLOT", slot)
        assert int(move_back) > 0


def keys_under(node: RedisServer, prefix: str) -> list[str]:
    return node.cli("KEYS", f"{{{prefix}}}*").split()


def move(source: RedisServer, target: RedisServer, slot: str) -> None:
    """What `redis-cli --cluster reshard` does to one slot, once it is marked."""
    while keys := source.cli("CLUSTER", "GETKEYSINSLOT", slot, 100).split():
        source.cli("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    target_id = target.cli("CLUSTER", "MYID")
    for node in (target, source):
        node.cli("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    wait(lambda: not source.cli("CLUSTER", "COUNTKEYSINSLOT", slot).strip("0"), "the slot is empty")
