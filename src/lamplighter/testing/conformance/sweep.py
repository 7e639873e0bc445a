"""Sweeping: what time makes true."""

from __future__ import annotations

from lamplighter.core.model import Beat, Failure, State, Swept
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import EVERY, LEASE, NOW, add, claim, end, job, later, outcome, see, started

EXPIRY = NOW + LEASE


async def test_a_job_comes_due_at_its_moment_and_not_before(store: Store) -> None:
    [id_] = await add(store, job(run_at=later(5)))
    assert await store.sweep(10, now=later(4.999999)) == Swept(0, [], later(5))
    assert await store.sweep(10, now=later(5)) == Swept(1, [], None)
    view = await see(store, id_)
    assert (view.state, view.run_at) == (State.QUEUED, later(5))


async def test_a_job_whose_lease_ran_out_is_queued_again(store: Store) -> None:
    attempt = await started(store, job(run_at=later(-1)))
    assert await store.sweep(10, now=EXPIRY) == Swept(0, [attempt.id], None)
    view = await see(store, attempt.id)
    assert (view.state, view.run_at, view.crashes, view.failures) == (State.QUEUED, later(-1), 1, 0)
    assert (view.worker, view.started_at, view.lease_until) == (None, None, None)
    [again] = await claim(store, now=EXPIRY)
    assert (again.fence, again.crashes) == (2, 1)


async def test_a_job_whose_lease_holds_is_left_alone(store: Store) -> None:
    attempt = await started(store)
    before = await see(store, attempt.id)
    assert await store.sweep(10, now=later(29.999999)) == Swept(0, [], EXPIRY)
    assert await see(store, attempt.id) == before


async def test_a_rescue_is_recorded_as_a_crash(store: Store) -> None:
    attempt = await started(store)
    await store.sweep(10, now=EXPIRY)
    message = "worker w-1 stopped renewing its lease."
    crash = Failure(fence=attempt.fence, at=EXPIRY, kind="crash", error="WorkerLost", message=message)
    assert await store.failures(attempt.id) == [crash]


async def test_a_rescued_job_cannot_be_finished_by_its_old_worker(store: Store) -> None:
    attempt = await started(store)
    await store.sweep(10, now=EXPIRY)
    assert await store.finish([outcome(attempt, "done")], now=EXPIRY) == []
    assert (await see(store, attempt.id)).state is State.QUEUED


async def test_a_job_asked_to_stop_is_not_rescued_but_cancelled(store: Store) -> None:
    attempt = await started(store)
    await store.cancel(EVERY, limit=1, now=NOW)
    assert await store.sweep(10, now=EXPIRY) == Swept(0, [attempt.id], None)
    view = await see(store, attempt.id)
    assert (view.state, view.reason, view.ended_at) == (State.CANCELLED, "asked to stop", EXPIRY)
    assert (view.crashes, len(await store.failures(attempt.id))) == (1, 1)


async def test_the_earliest_are_swept_first_and_the_rest_at_once_after(store: Store) -> None:
    third, first, second = await add(store, *(job(run_at=later(after)) for after in (3, 1, 2)))
    assert await store.sweep(2, now=later(9)) == Swept(2, [], later(9))
    states = {id_: (await see(store, id_)).state for id_ in (first, second, third)}
    assert states == {first: State.QUEUED, second: State.QUEUED, third: State.SCHEDULED}
    assert await store.sweep(2, now=later(9)) == Swept(1, [], None)


async def test_the_limit_holds_for_rescues_too(store: Store) -> None:
    await add(store, *(job() for _ in range(3)))
    await claim(store)
    first, second = await store.sweep(2, now=EXPIRY), await store.sweep(2, now=EXPIRY)
    assert (len(first.rescued), first.next_at) == (2, EXPIRY)
    assert (len(second.rescued), second.next_at) == (1, None)


async def test_the_next_look_is_at_the_earliest_moment_of_all(store: Store) -> None:
    assert await store.sweep(10, now=NOW) == Swept(0, [], None)
    await add(store, job(run_at=later(40), queue="late"), job(run_at=later(20)))
    assert (await store.sweep(10, now=NOW)).next_at == later(20)
    await store.sweep(10, now=later(20))
    [attempt] = await claim(store)
    assert (await store.sweep(10, now=later(20))).next_at == EXPIRY
    await store.beat([Beat(attempt.id, attempt.fence)], lease=LEASE, now=later(25))
    assert (await store.sweep(10, now=later(25))).next_at == later(40)
    await end(store, attempt, "snooze", run_at=later(30))
    assert (await store.sweep(10, now=later(25))).next_at == later(30)
