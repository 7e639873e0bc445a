"""Several processes on one schema, doing everything at once, some of them killed at the worst moment."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable

import pytest
from tests.store.postgres.behind import Behind

from lamplighter.core.model import Keep, State, Where
from lamplighter.store.open import open_store
from lamplighter.store.postgres import PostgresStore
from lamplighter.testing.conformance._make import EVERY, LEASE, NOW, add, claim, ended, ids_of, job, later, unique

Child = subprocess.Popen[str]
StartChild = Callable[..., Child]

# Any call, with any of a few keys, again and again; each attempt that it won is told.
ANYTHING = """
import asyncio, random, sys
from lamplighter.core.flow_control import GateRule
from lamplighter.core.model import Beat, Keep, State, Where
from lamplighter.store.open import open_store
from lamplighter.testing.conformance._make import *

dice = random.Random(int(sys.argv[2]))
mode = lambda: dice.choice(["pending", "active"])

async def do_anything(store, worker, rounds):
    mine = []
    for _ in range(rounds):
        match dice.randrange(9):
            case 0 | 1:
                limited = dict(tenant=dice.choice("tuv"), limits=(f"two:{dice.randrange(3)}",))
                batch = [unique(f"k-{dice.randrange(8)}", mode=mode()) for _ in range(3)]
                batch.append(job(queue="other", **limited))
                await store.add(batch, now=NOW)
            case 2 | 3:
                mine += await claim(store, dice.randrange(1, 5), worker=worker)
            case 4 if mine:
                await store.add([unique(f"k-{dice.randrange(8)}", mode="active", parent=mine[0].id)], now=NOW)
            case 5 if mine:
                verb = dice.choice(["done", "fail", "retry", "snooze", "release"])
                dice.shuffle(mine)
                at = later(dice.randrange(-9, 9))
                won = await store.finish([outcome(one, verb, run_at=at) for one in mine], now=NOW)
                if verb == "done":
                    print(*(f"{one.id}/{one.fence}" for one in mine if one.id in won), sep="\\n", end="\\n" * bool(won))
                mine = []
            case 6:
                await store.beat([Beat(one.id, one.fence, "1") for one in mine], lease=LEASE, now=NOW)
                await store.sweep(5, now=dice.choice([NOW, NOW + LEASE]))
            case 7:
                await store.cancel(Where(states=(State.QUEUED,)), limit=2, now=NOW)
            case 8:
                await store.retry(Where(states=(State.FAILED, State.CANCELLED)), limit=3, now=NOW)
                await store.prune(Keep(50, 50), limit=10, now=NOW)

async def main():
    async with open_store(sys.argv[1]) as store:
        await rule(store, "two", GateRule(running=2))
        print("ready")
        sys.stdin.readline()
        await asyncio.gather(*(do_anything(store, f"w-{sys.argv[2]}-{n}", 100) for n in range(4)))

asyncio.run(main())
"""

TWO_OF_A_KEY = """
SELECT unique_key FROM SCHEMA.jobs WHERE unique_mode = 'active' AND id IN (SELECT job FROM SCHEMA.keys)
GROUP BY unique_key HAVING count(*) > 1
"""
# Keys that a job holds which is not theirs, or which waits no more though it holds them only so long.
STRAY_KEYS = """
SELECT k.key FROM SCHEMA.keys AS k JOIN SCHEMA.jobs AS j ON j.id = k.job
WHERE j.unique_key <> k.key OR j.unique_mode = 'pending' AND j.state = 'running'
"""
# Sessions that go on with what a process asked for before it was killed.
AT_WORK = """
SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND query LIKE '%SCHEMA%' AND pid <> pg_backend_pid()
"""


def begin_all(children: list[Child]) -> None:
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_processes_do_at_once_the_counts_and_keys_are_right(
    store: PostgresStore, start: StartChild, behind: Behind, seed: int
) -> None:
    children = [start(ANYTHING, store.url, 10 * seed + n) for n in range(3)]
    await asyncio.to_thread(begin_all, children)
    ends = [asyncio.create_task(asyncio.to_thread(child.communicate)) for child in children]
    while not all(one.done() for one in ends):
        assert await behind.counts_are_right(), "in the middle of it all"
        assert await behind.rows(TWO_OF_A_KEY) == []
    assert [child.returncode for child in children] == [0] * len(children)
    won = [line for one in ends for line in (await one)[0].split()]
    assert len(won) == len(set(won)), "an attempt was won twice"
    assert await behind.counts_are_right()
    assert await behind.wrong_flow() == ([], [])
    assert await behind.rows(STRAY_KEYS) == []


async def test_processes_that_are_killed_leave_counts_and_keys_right(
    store: PostgresStore, start: StartChild, behind: Behind
) -> None:
    children = [start(ANYTHING, store.url, 50 + n) for n in range(3)]
    await asyncio.to_thread(begin_all, children)
    assert children[0].stdout is not None
    await asyncio.to_thread(children[0].stdout.readline)
    for child in children:
        child.kill()
    await asyncio.gather(*(asyncio.to_thread(child.communicate) for child in children))
    await behind.until(AT_WORK, 0)
    assert await behind.counts_are_right()
    assert await behind.wrong_flow() == ([], [])
    assert await behind.rows(STRAY_KEYS) == []
    while (await store.sweep(1000, now=NOW + LEASE)).rescued:
        pass
    await store.cancel(EVERY, limit=1000, now=NOW)
    await add(store, *(unique(f"k-{n}", mode="active") for n in range(8)))


async def test_one_of_many_handles_gets_each_key_of_each_mode(store: PostgresStore) -> None:
    keys = [f"k-{n}" for n in range(20)]
    async with open_store(store.url) as second, open_store(store.url) as third:
        handles = [store, second, third]
        batches = [[unique(key, mode=mode) for key in keys] for mode in ("pending", "active") for _ in range(6)]
        added = await asyncio.gather(*(handles[n % 3].add(batch, now=NOW) for n, batch in enumerate(batches)))
    created = [one.id for answer in added for one in answer if one.created]
    assert len(created) == len(keys)
    for place in range(len(keys)):
        assert len({answer[place].id for answer in added}) == 1, "who came late is told the same holder"


async def test_of_many_who_hand_a_key_on_one_does(store: PostgresStore) -> None:
    await add(store, unique(mode="active"))
    [parent] = await claim(store)
    children = [[unique(mode="active", parent=parent.id)] for _ in range(20)]
    async with open_store(store.url) as twin:
        added = await asyncio.gather(*((store, twin)[n % 2].add(one, now=NOW) for n, one in enumerate(children)))
    assert sum(answer[0].created for answer in added) == 1
    assert len({answer[0].id for answer in added}) == 1


async def test_a_key_whose_holder_is_gone_is_free(store: PostgresStore, behind: Behind) -> None:
    await behind.rows("INSERT INTO SCHEMA.keys (key, job) VALUES ('the key', 'nobody')")
    async with open_store(store.url) as twin:
        added = await asyncio.gather(*((store, twin)[n % 2].add([unique()], now=NOW) for n in range(10)))
    assert sum(answer[0].created for answer in added) == 1


@pytest.mark.parametrize("keep", [0, 7, 40])
async def test_many_who_prune_leave_what_is_to_be_kept(store: PostgresStore, behind: Behind, keep: int) -> None:
    attempts_at = [await ended(store) for _ in range(50)]
    async with open_store(store.url) as twin:
        prunes = [(store, twin)[n % 2].prune(Keep(keep, keep), limit=3, now=NOW) for n in range(40)]
        pruned = await asyncio.gather(*prunes)
        while more := await store.prune(Keep(keep, keep), limit=3, now=NOW):
            pruned.append(more)
    assert sum(pruned) == 50 - keep
    assert await ids_of(store, Where(states=(State.DONE,))) == attempts_at[: -keep - 1 : -1]
    assert await behind.counts_are_right()


async def test_many_who_sweep_queue_each_job_once(store: PostgresStore, behind: Behind) -> None:
    await add(store, *(job(run_at=later(n)) for n in range(1, 101)))
    async with open_store(store.url) as twin:
        swept = await asyncio.gather(*((store, twin)[n % 2].sweep(5, now=later(101)) for n in range(40)))
    rest = 0
    while due := (await store.sweep(50, now=later(101))).due:
        rest += due
    assert sum(one.due for one in swept) + rest == 100
    assert await behind.counts_are_right()


async def test_counts_are_put_together_without_being_wrong_meanwhile(store: PostgresStore, behind: Behind) -> None:
    for _ in range(30):
        await asyncio.gather(*(add(store, job()) for _ in range(20)), *(store.sweep(1, now=NOW) for _ in range(4)))
        assert (await store.stats())[0].queued == len(await ids_of(store))
    assert await behind.value("SELECT count(*) FROM SCHEMA.count_changes") < 600
    assert await behind.counts_are_right()


async def test_what_is_no_text_to_postgresql_is_kept_as_near_as_can_be(store: PostgresStore) -> None:
    await add(store, job(name="a\0b", tenant="t\0"))
    assert [view.name for view in await store.page(EVERY, limit=9)] == ["a␀b"]
