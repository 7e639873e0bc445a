"""Real faults around the Redis store: each is told in one sentence, and what comes back is used again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import uvloop
from tests.engine.waits import until_true
from tests.services import StartRedis

from lamplighter.core.errors import ConfigError, StoreDamaged, StoreError, StoreUnavailable, TooLarge
from lamplighter.core.model import Added, Beat, Keep, Record, Where
from lamplighter.store.redis import RedisStore
from lamplighter.testing.conformance._make import LEASE, NOW, add, claim, ids_of, job, outcome, started, unique
from lamplighter.testing.proxy import FaultyProxy
from lamplighter.testing.servers import RedisServer
from lamplighter.testing.servers.base import free_port


@pytest.fixture
def server(start_redis: StartRedis) -> RedisServer:
    """One that a test may kill; it keeps what was acknowledged."""
    return start_redis(appendfsync="always")


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with RedisStore(f"{server.url}?patience=0.3") as opened:
        yield opened


def on(server: RedisServer, options: str = "", user: str = "") -> RedisStore:
    return RedisStore(f"redis://{user}127.0.0.1:{server.port}/0?prefix={uuid4()}&patience=0.3{options}")


def through(proxy: FaultyProxy, server: RedisServer) -> RedisStore:
    return RedisStore(f"{proxy.url_for(server.url)}?prefix={uuid4()}&patience=0.3")


async def refused(store: RedisStore, kind: type[Exception], said: str) -> str:
    with pytest.raises(kind, match=said) as told:
        async with store:
            await add(store, job())
    return str(told.value)


async def test_nobody_at_home_is_said(tmp_path: object) -> None:
    nobody = RedisStore(f"redis://127.0.0.1:{free_port()}?patience=0.05")
    await refused(nobody, StoreUnavailable, r"at 127\.0\.0\.1:\d+ cannot be reached: .*Is it up\?")
    await refused(
        RedisStore("unix:///no/such.sock?patience=0.05"), StoreUnavailable, "at /no/such.sock cannot be reached"
    )


async def test_a_server_that_wants_a_password_is_said_to(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "requirepass", "hunter2")
    await refused(on(server), StoreUnavailable, "wants a password: put it into the store URL")
    said = await refused(on(server, user=":hunter3@"), StoreUnavailable, "does not accept the user name and password")
    assert "hunter" not in said
    async with on(server, user=":hunter2@") as store:
        await add(store, job())
        assert "hunter" not in store.url


async def test_a_user_without_rights_is_told_which_it_needs(redis_server: RedisServer) -> None:
    redis_server.ask("ACL", "SETUSER", "guest", "on", ">pw", "~other*", "&*", "+@all")
    await refused(
        on(redis_server, user="guest:pw@"), StoreUnavailable, r"refuses this user: let it use \+@all, ~{prefix}"
    )


async def test_a_database_that_there_is_not_is_said(redis_server: RedisServer) -> None:
    store = RedisStore(f"redis://127.0.0.1:{redis_server.port}/999")
    await refused(store, ConfigError, "has no database 999: name another")


async def test_a_server_of_another_kind_is_known_by_its_answer() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as web:
        port = web.sockets[0].getsockname()[1]
        await refused(RedisStore(f"redis://127.0.0.1:{port}"), ConfigError, "does not speak as Redis does")


async def test_keys_of_someone_else_under_our_prefix_are_left_alone(redis_server: RedisServer) -> None:
    store = on(redis_server)
    prefix = store.url.split("prefix=")[1].split("&")[0]
    redis_server.ask("SET", f"{{{prefix}}}:jobs", "theirs")
    await refused(store, StoreDamaged, "someone else's under this prefix: choose another with")


async def test_a_full_server_refuses_and_loses_nothing(start_redis: StartRedis) -> None:
    server = start_redis(settings={"maxmemory": "3mb", "maxmemory-policy": "noeviction"})
    async with on(server) as store:
        ids: list[str] = []

        async def fill() -> None:
            for _ in range(100):
                ids.extend(await add(store, *(job(args='"' + "x" * 5000 + '"') for _ in range(20))))

        with pytest.raises(StoreUnavailable, match="is full: prune ended jobs, or raise its maxmemory"):
            await fill()
        assert sorted(await ids_of(store)) == ids
        server.ask("CONFIG", "SET", "maxmemory", "0")
        assert len(await claim(store)) == len(ids) > 0


@pytest.fixture
def replica(redis_server: RedisServer, start_redis: StartRedis) -> RedisServer:
    return start_redis(settings={"replicaof": f"127.0.0.1 {redis_server.port}"})


async def test_a_replica_is_said_to_be_one(replica: RedisServer) -> None:
    await refused(on(replica), StoreUnavailable, "is a read-only replica: point the store URL at the master")


async def test_of_several_hosts_the_one_that_can_serve_is_found(
    redis_server: RedisServer, replica: RedisServer
) -> None:
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{replica.port},127.0.0.1:{redis_server.port}"
    async with RedisStore(f"redis://{hosts}/0?prefix={uuid4()}&patience=5") as store:
        await add(store, job())


async def test_who_is_patient_waits_for_a_server_that_restarts(server: RedisServer) -> None:
    async with RedisStore(f"{server.url}?patience=30") as store:
        [before] = await add(store, job())
        server.kill()
        adding = asyncio.create_task(add(store, job()))
        await asyncio.to_thread(server.start)
        [after] = await adding
        assert await ids_of(store) == [after, before]


async def test_a_server_that_is_down_is_unavailable_until_it_is_back(store: RedisStore, server: RedisServer) -> None:
    [before] = await add(store, job())
    server.kill()
    for error in await asyncio.gather(*(store.add([job()], now=NOW) for _ in range(20)), return_exceptions=True):
        assert isinstance(error, StoreUnavailable)
    server.start()
    [after] = await add(store, job())
    assert await ids_of(store) == [after, before], "what was refused was not done"


async def test_scripts_that_a_server_forgot_are_told_to_it_again(store: RedisStore, server: RedisServer) -> None:
    ids: list[str] = []
    for _ in range(3):
        ids += await add(store, job())
        server.ask("SCRIPT", "FLUSH")
    await asyncio.gather(*(store.add([job()], now=NOW) for _ in range(20)))
    server.ask("SCRIPT", "FLUSH")
    found, claimed, _ = await asyncio.gather(store.stats(), claim(store), store.prune(Keep(), limit=9, now=NOW))
    assert (found[0].queued, len(claimed)) == (23, 23)


async def test_a_server_that_goes_silent_is_noticed_and_used_again(redis_server: RedisServer) -> None:
    with FaultyProxy("127.0.0.1", redis_server.port) as proxy:
        async with through(proxy, redis_server) as store:
            await add(store, job())
            proxy.freeze()
            with pytest.raises(StoreUnavailable, match=r"was lost \(no answer within 0.3 s\) before the answer came"):
                await claim(store)
            with pytest.raises(StoreUnavailable, match="did not answer within"):
                await store.stats()
            proxy.thaw()
            await add(store, job())


class Swallower:
    """Stands before a server; when told to, it swallows the answer that comes next and hangs up."""

    def __init__(self, server: RedisServer) -> None:
        self.swallow = False
        self._server = server

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = await asyncio.open_connection("127.0.0.1", self._server.port)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool) -> None:
            while data := await source.read(65536):
                if answers and self.swallow:
                    self.swallow = False
                    break
                target.write(data)
            writer.close()
            down.close()

        await asyncio.gather(pass_on(reader, down, answers=False), pass_on(up, writer, answers=True))


@pytest.fixture
async def swallower(redis_server: RedisServer) -> AsyncIterator[tuple[Swallower, str]]:
    swallower = Swallower(redis_server)
    async with await asyncio.start_server(swallower, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        yield swallower, f"redis://127.0.0.1:{port}?prefix={uuid4()}&patience=10"


async def test_an_add_whose_answer_was_lost_is_repeated_and_makes_one_job(swallower: tuple[Swallower, str]) -> None:
    between, url = swallower
    async with RedisStore(url) as store:
        await add(store, first := unique(mode="active"))
        second, third = unique(mode="active"), job()
        between.swallow = True
        added = await store.add([second, third], now=NOW)
        assert not between.swallow, "the answer was swallowed"
        assert added == [Added(first.id, created=False), Added(third.id, created=True)]
        assert await ids_of(store) == [third.id, first.id]


async def test_a_claim_whose_answer_was_lost_is_not_repeated(swallower: tuple[Swallower, str]) -> None:
    between, url = swallower
    async with RedisStore(url) as store:
        assert await claim(store) == [], "the server knows the script from now on"
        await add(store, *(job() for _ in range(4)))
        between.swallow = True
        with pytest.raises(StoreUnavailable, match="look whether the change was made, or make it again"):
            await claim(store, 1)
        [stats] = await store.stats()
        assert (stats.running, stats.queued) == (1, 3)
        await store.sweep(10, now=NOW + LEASE)
        assert len(await claim(store, now=NOW + LEASE)) == 4, "what was claimed in vain comes back with its lease"


async def test_a_disk_that_takes_no_more_is_said(start_redis: StartRedis) -> None:
    server = start_redis(settings={"save": "3600 1", "dbfilename": "x.rdb"})
    server.folder.joinpath("x.rdb").mkdir()
    async with on(server) as store:
        await add(store, job())
        server.ask("BGSAVE")
        await until_true(lambda: "rdb_last_bgsave_status:err" in server.info("persistence"))
        with pytest.raises(StoreUnavailable, match="cannot write to its disk and takes no changes"):
            await add(store, job())


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_answer_that_came_while_the_loop_stood_still_is_not_lost(
    redis_server: RedisServer, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def live() -> None:
        async with on(redis_server) as store:
            assert await claim(store) == []
            claiming = asyncio.create_task(claim(store))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(0.5)  # noqa: ASYNC251 - longer than the store's patience
            assert await claiming == []

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(live())


async def test_all_who_wait_for_a_server_wait_no_longer_than_one(redis_server: RedisServer) -> None:
    with FaultyProxy("127.0.0.1", redis_server.port) as proxy:
        async with through(proxy, redis_server) as store:
            await add(store, job())
            proxy.freeze()
            async with asyncio.timeout(5):
                adds = (store.add([job()], now=NOW) for _ in range(50))
                errors = await asyncio.gather(*adds, return_exceptions=True)
            assert {type(error) for error in errors} == {StoreUnavailable}


async def test_moments_beyond_all_counting_serve_as_ever_and_never(store: RedisStore) -> None:
    first, last = job(run_at=datetime.min.replace(tzinfo=UTC)), job(run_at=datetime.max.replace(tzinfo=UTC))
    await add(store, job(), last, first)
    assert (await claim(store, 1))[0].id == first.id
    assert (await store.sweep(10, now=NOW)).due == 0
    [view] = await store.page(where(last.id), limit=1)
    assert view.run_at.year == 2255


async def test_a_thousand_keys_and_more_that_are_over_go_in_one_prune(store: RedisStore, server: RedisServer) -> None:
    until = NOW + LEASE
    await add(store, *(unique(f"k{n}", mode="period", until=until) for n in range(2500)))
    await store.prune(Keep(), limit=10, now=until)
    assert server.ask("KEYS", "*:periods") == []


@pytest.mark.parametrize("text", ["a\0b", "", "🪔", "\x7f\x80"])
async def test_any_text_comes_back_as_it_was(store: RedisStore, text: str) -> None:
    new = unique(text, queue=text, name=text, tenant=text, args=text)
    attempt = await started(store, new)
    assert (attempt.queue, attempt.name, attempt.tenant, attempt.args) == (text,) * 4
    await store.beat([Beat(attempt.id, attempt.fence, text)], lease=LEASE, now=NOW)
    [view] = await store.page(where(attempt.id), limit=1)
    assert (view.progress, view.unique and view.unique.key) == (text, text)
    await store.finish([outcome(attempt, "done", result=text, reason=text)], now=NOW)
    [view] = await store.page(where(attempt.id), limit=1)
    assert (view.result, view.reason) == (text, text)
    await store.put(record := Record(kind=text, name=text, value=text))
    assert await store.records(text, now=NOW) == [record]


async def test_half_a_character_is_refused(store: RedisStore) -> None:
    with pytest.raises(StoreError, match=r"holds '\\ud800', half a character"):
        await store.add([job(tenant="\ud800")], now=NOW)


async def test_what_is_too_large_is_refused_by_name(store: RedisStore) -> None:
    large = "x" * 1_100_000
    new = job(args=large)
    with pytest.raises(TooLarge, match=f"job {new.id} takes 1,100,\\d+ bytes, more than 1,048,576: store it elsewhere"):
        await store.add([new], now=NOW)
    attempt = await started(store)
    with pytest.raises(TooLarge, match=f"the outcome of job {attempt.id} takes"):
        await store.finish([outcome(attempt, "done", result=large)], now=NOW)
    with pytest.raises(TooLarge, match=f"the progress of job {attempt.id} takes"):
        await store.beat([Beat(attempt.id, attempt.fence, large)], lease=LEASE, now=NOW)
    with pytest.raises(TooLarge, match="record 'a' takes"):
        await store.put(Record(kind="a", name="a", value=large))


async def test_a_store_that_is_not_open_says_so(store: RedisStore) -> None:
    closed = RedisStore(store.url)
    with pytest.raises(StoreUnavailable, match="is not open: enter it with `async with` first"):
        await closed.stats()


def where(id_: str) -> Where:
    return Where(ids=(id_,))
