"""Claiming: the most urgent first, each job to one worker, under a fence of its own."""

from __future__ import annotations

from lamplighter.core.model import Beat, Claimed, Priority, State
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import LEASE, NOW, add, claim, end, job, later, outcome, see, started


async def test_a_claimed_job_carries_what_its_worker_needs(store: Store) -> None:
    new = job(tenant="t-1", args='{"n": 1}', priority=Priority.LOW, run_at=later(-2))
    assert await started(store, new) == Claimed(
        id=new.id,
        fence=1,
        name="send",
        queue="mail",
        tenant="t-1",
        args='{"n": 1}',
        priority=-10,
        run_at=later(-2),
        created_at=NOW,
        failures=0,
        crashes=0,
    )


async def test_a_claimed_job_runs_under_a_lease(store: Store) -> None:
    await add(store, new := job())
    await claim(store, worker="w-7", now=later(3))
    view = await see(store, new.id)
    assert (view.state, view.worker, view.started_at) == (State.RUNNING, "w-7", later(3))
    assert (view.lease_until, view.fence) == (later(3) + LEASE, 1)


async def test_a_higher_priority_runs_first(store: Store) -> None:
    low, urgent, normal = await add(store, *(job(priority=p) for p in (Priority.LOW, Priority.URGENT, Priority.NORMAL)))
    assert [attempt.id for attempt in await claim(store)] == [urgent, normal, low]


async def test_of_equal_priority_the_earliest_due_runs_first(store: Store) -> None:
    second, first = await add(store, job(run_at=later(-1)), job(run_at=later(-2)))
    assert [attempt.id for attempt in await claim(store)] == [first, second]


async def test_of_equal_moments_the_oldest_runs_first(store: Store) -> None:
    first, second, third = job(), job(), job()
    await add(store, third, first, second)
    assert [attempt.id for attempt in await claim(store)] == [first.id, second.id, third.id]


async def test_of_queues_the_one_whose_next_job_is_due_first_goes_first(store: Store) -> None:
    jobs = [job(queue=queue, run_at=later(-age)) for age, queue in enumerate("abcabc")]
    await add(store, *jobs)
    claimed = [attempt.id for attempt in await claim(store, 5)]
    assert claimed == [jobs[n].id for n in (5, 2, 4, 1, 3)]


async def test_only_the_named_queues_are_claimed(store: Store) -> None:
    await add(store, job(queue="a"), job(queue="b"), job(queue="c"))
    attempts = await store.claim(["c", "a", "none such"], 10, worker="w", lease=LEASE, now=NOW)
    assert [attempt.queue for attempt in attempts] == ["a", "c"]


async def test_no_more_than_the_limit_are_claimed(store: Store) -> None:
    await add(store, *(job() for _ in range(5)))
    assert await claim(store, 0) == []
    assert [len(await claim(store, 2)) for _ in range(4)] == [2, 2, 1, 0]


async def test_a_queue_among_hundreds_is_claimed(store: Store) -> None:
    ids = await add(store, *(job(queue=f"q-{n}") for n in range(600)))
    taken: list[str] = []
    while attempts := await claim(store):
        taken += [attempt.id for attempt in attempts]
    assert sorted(taken) == ids


async def test_the_most_urgent_job_may_be_in_any_of_hundreds_of_queues(store: Store) -> None:
    jobs = [job(queue=f"q-{n:03}", priority=n) for n in range(600)]
    await add(store, *jobs)
    assert [attempt.id for attempt in await claim(store, 3)] == [new.id for new in jobs[:-4:-1]]


async def test_an_empty_store_gives_nothing(store: Store) -> None:
    assert await claim(store) == []


async def test_a_running_job_is_not_claimed_again(store: Store) -> None:
    await started(store)
    assert await claim(store) == []


async def test_a_scheduled_job_is_not_claimed(store: Store) -> None:
    await add(store, job(run_at=later(1)))
    assert await claim(store, now=later(2)) == [], "only a sweep makes a job due"


async def test_each_attempt_has_a_greater_fence(store: Store) -> None:
    await add(store, job())
    fences: list[int] = []
    for _ in range(3):
        [attempt] = await claim(store)
        fences.append(attempt.fence)
        await store.finish([outcome(attempt, "release")], now=NOW)
    assert fences == [1, 2, 3]


async def test_an_attempt_starts_without_the_progress_of_the_last(store: Store) -> None:
    attempt = await started(store)
    await store.beat([Beat(attempt.id, attempt.fence, "50")], lease=LEASE, now=NOW)
    await end(store, attempt, "release")
    await claim(store)
    assert (await see(store, attempt.id)).progress is None
