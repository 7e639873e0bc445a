"""Shares and limits in Redis: scripts are bounded, so what is too much for one takes several and comes out the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from msgspec import structs
from tests.services import StartRedis

from lamplighter.core.errors import QueueFull
from lamplighter.core.flow_control import LIMIT, QUEUE, TENANT, GateRule, QueueRule, TenantRule
from lamplighter.core.model import Keep, NewJob, State, Where
from lamplighter.store.redis import RedisStore
from lamplighter.store.redis.scripts import script
from lamplighter.store.rules import record_of
from lamplighter.testing.conformance._make import EVERY, MANY, NOW, add, claim, end, ids_of, job, later, rule
from lamplighter.testing.servers import RedisServer

ONE, NONE = GateRule(running=1), GateRule(running=0)


@pytest.fixture
async def store(redis_prefix_url: str) -> AsyncIterator[RedisStore]:
    async with RedisStore(redis_prefix_url) as opened:
        yield opened


def limited(key: str = "one:a", **changes: object) -> NewJob:
    return job(limits=(key,), **changes)  # type: ignore[arg-type]


def test_rules_default_to_the_same_in_scripts_as_outside(redis_server: RedisServer) -> None:
    source = script("room").source.decode().partition("local counts = ")[0] + "return cjson.encode(DEFAULTS)"
    kinds = {LIMIT: GateRule(), QUEUE: QueueRule(), TENANT: TenantRule()}
    assert json.loads(str(redis_server.ask("EVAL", source, 1, "{none}"))) == {
        kind: {name: value for name, value in structs.asdict(default).items() if value is not None}
        for kind, default in kinds.items()
    }


@pytest.mark.parametrize("text", ["no JSON", "[1]", '{"running":"1"}', '{"running":1.5}', '{"running":1,"burst":null}'])
async def test_a_rule_that_cannot_be_read_is_the_default_one(store: RedisStore, text: str) -> None:
    await store.put(structs.replace(record_of("one", ONE), value=text))
    await add(store, *(limited() for _ in range(3)))
    assert len(await claim(store)) == 3


async def test_what_a_newer_version_adds_to_a_rule_is_passed_over(store: RedisStore) -> None:
    await store.put(structs.replace(record_of("one", ONE), value='{"running":1,"burst":1,"percent":null,"new":[{}]}'))
    await add(store, *(limited() for _ in range(3)))
    assert len(await claim(store)) == 1


async def test_a_batch_for_several_scripts_is_refused_whole(store: RedisStore) -> None:
    await rule(store, "mail", QueueRule(most=2500))
    known = [job() for _ in range(2400)]
    await add(store, *known)
    with pytest.raises(QueueFull, match=r"the queue 'mail' takes 2,500 waiting jobs"):
        await store.add([*known, *(job() for _ in range(101))], now=NOW)
    assert [stats.queued for stats in await store.stats()] == [2400]
    await add(store, *known, *(job() for _ in range(100)))


async def test_a_tenants_part_of_a_batch_for_several_scripts_is_refused_too(store: RedisStore) -> None:
    await rule(store, "mail", QueueRule(most_per_tenant=1))
    with pytest.raises(QueueFull, match="of tenant 'a'"):
        await store.add([*(job(queue="other") for _ in range(1500)), job(tenant="a"), job(tenant="a")], now=NOW)
    assert await ids_of(store) == []


async def test_the_oldest_of_a_queue_are_found_behind_thousands_of_another(store: RedisStore) -> None:
    await add(store, *(job(queue="other") for _ in range(2500)))
    first, second = await add(store, job(), job(run_at=later(9)))
    await add(store, *(job(queue="other") for _ in range(1500)))
    await rule(store, "mail", QueueRule(most=2, drop=True))
    third, fourth = await add(store, job(), job())
    assert await ids_of(store, Where(queues=("mail",), states=(State.CANCELLED,))) == [second, first]
    await claim(store, queue="mail")
    [fifth] = await add(store, job())
    await store.cancel(Where(ids=(fifth,)), limit=1, now=NOW)
    await add(store, job(), job())
    assert await ids_of(store, Where(queues=("mail",), states=(State.RUNNING,))) == [fourth, third]
    [_] = await add(store, job())
    assert len(await ids_of(store, Where(queues=("mail",), states=(State.QUEUED,)))) == 2


async def test_a_job_that_came_back_is_among_the_oldest_again(store: RedisStore) -> None:
    await rule(store, "mail", QueueRule(most=1, drop=True))
    [oldest] = await add(store, job())
    [attempt] = await claim(store)
    await add(store, job(), job())
    await end(store, attempt, "release")
    await add(store, newest := job())
    assert await ids_of(store, Where(states=(State.QUEUED,))) == [newest.id]
    assert oldest in await ids_of(store, Where(states=(State.CANCELLED,)))


async def test_more_gates_are_shown_than_one_script_tells_of(store: RedisStore) -> None:
    keys = [f"one:{n:04}" for n in range(2100)]
    await add(store, *(limited(key) for key in keys))
    idle = await claim(store, 1500)
    for attempt in idle[:1200]:
        await end(store, attempt, "done", keep_until=NOW)
    await claim(store)
    shown = await store.gates(limit=850, now=NOW)
    assert [view.key for view in shown] == keys[1200:2050]
    assert [view.key for view in await store.gates(keys, limit=1500, now=NOW)] == keys[:1500]


async def test_a_changed_rule_counts_for_thousands_of_gates(store: RedisStore) -> None:
    await rule(store, "one", NONE)
    await rule(store, "one-more", NONE)
    await add(store, *(limited(f"one-more:{n}") for n in range(1200)))
    added = await add(store, limited("one"), *(limited(f"one:{n}") for n in range(1200)))
    for _ in range(3):
        assert await claim(store) == []
    await rule(store, "one", ONE)
    taken: list[str] = []
    while (swept := await store.sweep(MANY, now=NOW)).next_at == NOW or swept.due:
        taken += [attempt.id for attempt in await claim(store)]
    assert sorted(taken) == added


async def test_a_great_many_gates_that_open_are_let_go_by_several_sweeps(store: RedisStore) -> None:
    await rule(store, "rate", GateRule(interval=10_000_000))
    await add(store, *(limited(f"rate:{n}") for n in range(500) for _ in range(2)))
    while await claim(store):
        pass
    let_go = 0
    while (swept := await store.sweep(MANY, now=later(10))).next_at == later(10):
        let_go += swept.due
    assert let_go + swept.due == 500


async def test_tenants_with_equal_tags_go_by_the_bytes_of_their_names(store: RedisStore) -> None:
    names = ["Z", "a", "a-b", "aa", "ä", "🏮"]
    await add(store, *(job(tenant=name) for name in reversed(names) for _ in range(2)))
    assert [attempt.tenant for attempt in await claim(store)] == names * 2


async def test_gates_and_lines_that_make_no_difference_give_their_memory_back(start_redis: StartRedis) -> None:
    server = start_redis()
    async with RedisStore(f"{server.url}?prefix=p") as store:
        await rule(store, "one", ONE)
        await rule(store, "mail", QueueRule(most=900, most_per_tenant=300, drop=True, charge="time"))
        await add(store, *(limited(f"one:{n % 7}", tenant=f"t-{n % 5}", priority=n % 3) for n in range(1000)))
        while attempts := await claim(store):
            for attempt in attempts:
                await end(store, attempt, "fail", keep_until=NOW)
        await store.cancel(EVERY, limit=MANY, now=NOW, keep_until=NOW)
        await store.drop("limit", "one")
        await store.drop("queue", "mail")
        await store.prune(Keep(0, 0), limit=MANY, now=later(100))
        assert server.ask("KEYS", "*") == ["{p}:schema"]


async def test_jobs_may_have_more_limits_than_one_command_takes(store: RedisStore) -> None:
    await rule(store, "k999", ONE)
    limits = tuple(f"k{n}:a" for n in range(1000))
    await add(store, *(job(limits=tuple(f"{key}{n // 2}" for key in limits)) for n in range(20)))
    assert len(await claim(store)) == 10
