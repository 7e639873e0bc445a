"""A real cluster of three nodes: any of them leads to the one that has our keys, also while they move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from uuid import uuid4

import pytest
from tests.services import start

from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.redis import RedisStore
from lamplighter.testing.conformance._make import NOW, add, claim, ids_of, job
from lamplighter.testing.servers import RedisServer, private_redis_cluster

Nodes = Sequence[RedisServer]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Of a cluster whose slots may be moved."""
    with ExitStack() as stack:
        yield start(stack, private_redis_cluster()).nodes


async def test_each_node_leads_to_the_same_jobs(nodes: Nodes) -> None:
    prefix = uuid4()
    async with RedisStore(f"{nodes[0].url}?prefix={prefix}") as store:
        [id_] = await add(store, job())
    for node in nodes:
        async with RedisStore(f"{node.url}?prefix={prefix}") as store:
            assert await ids_of(store) == [id_]


async def test_different_prefixes_lie_on_different_nodes(nodes: Nodes) -> None:
    prefixes = [str(uuid4()) for _ in range(32)]
    for prefix in prefixes:
        async with RedisStore(f"{nodes[0].url}?prefix={prefix}") as store:
            await add(store, job())
    assert all(any(keys_under(node, prefix) for prefix in prefixes) for node in nodes)


async def test_a_slot_that_moves_is_waited_for_and_then_found(nodes: Nodes) -> None:
    async with RedisStore(f"{nodes[0].url}?prefix={uuid4()}&patience=0.2") as store:
        before = await add(store, job())
        prefix = store.url.split("prefix=")[1].split("&")[0]
        [source] = [node for node in nodes if keys_under(node, prefix)]
        target = next(node for node in nodes if node is not source)
        slot = source.ask("CLUSTER", "KEYSLOT", f"{{{prefix}}}")
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID"))
        with pytest.raises(StoreUnavailable, match="handing our keys to another node"):
            await store.add([job()], now=NOW)
        move(source, target, slot)
        [attempt] = await claim(store)
        assert [attempt.id] == before, "nothing was lost or done by halves on the way"
        assert target.ask("CLUSTER", "COUNTKEYSINSLOT", slot) != "0"


def keys_under(node: RedisServer, prefix: str) -> object:
    return node.ask("KEYS", f"{{{prefix}}}*")


def move(source: RedisServer, target: RedisServer, slot: object) -> None:
    """What `redis-cli --cluster reshard` does to one slot, once it is marked."""
    while isinstance(keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100), list) and keys:
        assert source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys) == "OK"
    for node in (target, source):
        assert node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.ask("CLUSTER", "MYID")) == "OK"
    assert source.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == "0"
