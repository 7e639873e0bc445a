"""Where a Redis server may be: behind Sentinel, at a socket, behind TLS, in a cluster whose nodes die."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from tests.services import StartRedis, start

from lamplighter.core.errors import ConfigError, StoreUnavailable
from lamplighter.store.redis import RedisStore
from lamplighter.testing.conformance._make import add, claim, ids_of, job
from lamplighter.testing.servers import RedisSentinel, RedisServer, private_redis_cluster, private_sentinel
from lamplighter.testing.servers.base import free_port


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def server(start_redis: StartRedis) -> RedisServer:
    """One that listens at a socket too."""
    return start_redis(settings={"unixsocket": "redis.sock"})  # in its folder, whose name is short enough for a socket


async def test_a_socket_is_a_place_too(server: RedisServer) -> None:
    prefix = uuid4()
    async with RedisStore(f"unix://{server.folder}/redis.sock?prefix={prefix}") as store:
        [id_] = await add(store, job())
    async with RedisStore(f"{server.url}?prefix={prefix}") as store:
        assert await ids_of(store) == [id_]


async def test_databases_of_one_server_do_not_meet(server: RedisServer) -> None:
    async with RedisStore(f"redis://127.0.0.1:{server.port}/3") as store:
        [id_] = await add(store, job())
        assert await ids_of(store) == [id_]
    async with RedisStore(f"unix://{server.folder}/redis.sock?db=3") as store:
        assert await ids_of(store) == [id_]
    async with RedisStore(server.url) as store:
        assert await ids_of(store) == []


@pytest.fixture
def watched(stack: ExitStack) -> RedisSentinel:
    return start(stack, private_sentinel())


async def test_sentinel_leads_to_the_new_master_after_a_failover(watched: RedisSentinel) -> None:
    master, url = watched.master, watched.url.replace("://", f"://127.0.0.1:{free_port()},")
    async with RedisStore(f"{url}&patience=30") as store:
        [before] = await add(store, job())
        await until_copied(master)
        hints = store.wake()
        await anext(hints)
        master.kill()
        [after] = await add(store, job())
        await asyncio.to_thread(watched.wait_for_failover, master)  # the sentinel that we ask may hear of it later
        assert watched.master is not master
        assert is_master(watched.master)
        assert await ids_of(store) == [after, before]
        async with asyncio.timeout(30):
            await anext(hints)
        await claim(store)


async def test_a_master_that_sentinel_does_not_know_is_told(watched: RedisSentinel) -> None:
    store = RedisStore(f"redis+sentinel://127.0.0.1:{watched.sentinels[0].port}?master=none")
    with pytest.raises(ConfigError, match=r"knows no master 'none': correct \?master="):
        await store.__aenter__()


async def test_another_node_of_a_cluster_takes_over_from_one_that_died(stack: ExitStack) -> None:
    cluster = start(stack, private_redis_cluster(replicas=1))
    async with RedisStore(f"{cluster.url}?patience=60") as store:
        [before] = await add(store, job())
        [owner] = [node for node in cluster.nodes if node.ask("KEYS", "{lamplighter}:jobs") and is_master(node)]
        await until_copied(owner)
        owner.kill()
        [after] = await add(store, job())
        assert await ids_of(store) == [after, before]


async def until_copied(master: RedisServer) -> None:
    """Until a replica has all that was written. WAIT would speak only of what its own connection wrote."""
    async with asyncio.timeout(30):
        while not is_copied(master.info("replication")):  # noqa: ASYNC110 - a server has no event to wait for
            await asyncio.sleep(0.01)


def is_copied(replication: set[str]) -> bool:
    told = dict(line.split(":", 1) for line in replication if ":" in line)
    offset = told["master_repl_offset"]
    replicas = [facts.split(",") for name, facts in told.items() if re.fullmatch(r"slave\d+", name)]
    return any({"state=online", f"offset={offset}"} <= set(facts) for facts in replicas)


def is_master(node: RedisServer) -> bool:
    return "role:master" in node.info("replication")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=redis.test"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*request.split(), *names], check=True, capture_output=True)
    return cert, key


async def test_a_server_behind_tls_must_be_trusted(start_redis: StartRedis, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    tls = free_port()
    files = {"tls-cert-file": cert, "tls-key-file": key, "tls-ca-cert-file": cert, "tls-auth-clients": "optional"}
    server = start_redis(settings={"tls-port": tls, **files})
    url = f"rediss://127.0.0.1:{tls}?patience=5"
    with pytest.raises(ConfigError, match=r"is not to be trusted: self.signed certificate"):
        await RedisStore(url).__aenter__()
    for options in (f"&ca={cert}", f"&ca={cert}&cert={cert}&key={key}&verify=ca", "&verify=none"):
        async with RedisStore(url + options) as store:
            await add(store, job())
            await anext(store.wake())
    with pytest.raises(ConfigError, match="certificates that the store URL names cannot be read"):
        await RedisStore(f"{url}&ca={cert}.none").__aenter__()
    with pytest.raises(StoreUnavailable, match=r"does it want TLS \(rediss://\)"):
        await RedisStore(f"redis://127.0.0.1:{tls}?patience=0.2").__aenter__()
    assert server.port != tls
