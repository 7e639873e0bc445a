"""Races: many tasks, threads and handles at once, and every job still goes to one of them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from lamplighter.core.model import Claimed, State, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
    NOW,
    OpenAgain,
    add,
    claim,
    ids_of,
    job,
    outcome,
    see,
    started,
    unique,
)

PATIENCE = 30  # seconds
JOBS = 200
WORKERS = 8


async def drain(store: Store, worker: str) -> list[Claimed]:
    """Claim a few at a time and finish them, until no job is queued any more."""
    taken: list[Claimed] = []
    async with asyncio.timeout(PATIENCE):
        while await store.page(Where(states=(State.QUEUED,)), limit=1):
            attempts = await claim(store, 5, worker=worker)
            won = await store.finish([outcome(attempt, "done") for attempt in attempts], now=NOW)
            assert won == [attempt.id for attempt in attempts], "another worker finished a job that was claimed here"
            taken += attempts
    return taken


async def all_done_once(store: Store, ids: list[str], taken: list[list[Claimed]]) -> None:
    attempts = [attempt for mine in taken for attempt in mine]
    assert sorted(attempt.id for attempt in attempts) == ids, "each job is claimed by exactly one worker"
    assert {attempt.fence for attempt in attempts} == {1}
    assert sorted(await ids_of(store, Where(states=(State.DONE,)))) == ids


async def test_many_tasks_on_two_handles_share_the_jobs(store: Store, open_again: OpenAgain) -> None:
    ids = await add(store, *(job(queue=f"q-{n % 3}") for n in range(JOBS)))
    async with open_again() as twin:
        taken = await asyncio.gather(*(drain((store, twin)[n % 2], f"w-{n}") for n in range(WORKERS)))
    await all_done_once(store, ids, taken)


async def test_many_threads_with_loops_of_their_own_share_the_jobs(store: Store) -> None:
    ids = await add(store, *(job() for _ in range(JOBS)))
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(WORKERS) as threads:
        runs = [loop.run_in_executor(threads, asyncio.run, drain(store, f"w-{n}")) for n in range(WORKERS)]
        taken = await asyncio.gather(*runs)
    await all_done_once(store, ids, taken)


async def test_of_many_adds_under_one_key_one_makes_the_job(store: Store, open_again: OpenAgain) -> None:
    async with open_again() as twin:
        adds = ((store, twin)[n % 2].add([unique(mode="active")], now=NOW) for n in range(40))
        added = [one for answer in await asyncio.gather(*adds) for one in answer]
    assert sum(one.created for one in added) == 1
    assert {one.id for one in added} == set(await ids_of(store))


async def test_a_job_that_is_added_again_while_it_ends_does_not_come_to_life(
    store: Store, open_again: OpenAgain
) -> None:
    async with open_again() as twin:
        for _ in range(10):
            batch = [job() for _ in range(20)]
            await add(store, *batch)
            outcomes = [outcome(attempt, "done") for attempt in await claim(store)]
            await asyncio.gather(store.finish(outcomes, now=NOW), *(twin.add(batch, now=NOW) for _ in range(2)))
    assert await claim(store) == []
    assert {view.state for view in await store.page(EVERY, limit=1000)} == {State.DONE}


async def test_of_many_who_finish_one_attempt_one_wins(store: Store, open_again: OpenAgain) -> None:
    attempt = await started(store)
    async with open_again() as twin:
        finishes = ((store, twin)[n % 2].finish([outcome(attempt, "done", result=str(n))], now=NOW) for n in range(40))
        won = await asyncio.gather(*finishes)
    [winner] = [n for n, ids in enumerate(won) if ids]
    assert (await see(store, attempt.id)).result == str(winner)


async def test_of_many_who_sweep_one_rescues(store: Store, open_again: OpenAgain) -> None:
    ids = await add(store, *(job() for _ in range(20)))
    await claim(store)
    async with open_again() as twin:
        sweeps = [(store, twin)[n % 2].sweep(7, now=NOW + LEASE) for n in range(10)]
        swept = await asyncio.gather(*sweeps)
    assert sorted(id_ for one in swept for id_ in one.rescued) == ids
    assert {view.crashes for view in await store.page(EVERY, limit=100)} == {1}


async def test_a_job_is_either_finished_or_rescued(store: Store, open_again: OpenAgain) -> None:
    await add(store, *(job() for _ in range(40)))
    attempts = await claim(store)
    async with open_again() as twin:
        finishes = (store.finish([outcome(attempt, "done")], now=NOW + LEASE) for attempt in attempts)
        sweeps = (twin.sweep(3, now=NOW + LEASE) for _ in attempts)
        won, swept = await asyncio.gather(asyncio.gather(*finishes), asyncio.gather(*sweeps))
    done = [id_ for ids in won for id_ in ids]
    rescued = [id_ for one in swept for id_ in one.rescued]
    assert sorted(done + rescued) == [attempt.id for attempt in attempts]
    assert sorted(await ids_of(store, Where(states=(State.DONE,)))) == sorted(done)
