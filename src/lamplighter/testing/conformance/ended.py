"""What has ended, in the order in which it did: who goes on from a place misses none and sees none twice."""

from __future__ import annotations

from lamplighter.core.model import EndedJob, EndedPlace, Keep, State, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
    MANY,
    NOW,
    add,
    claim,
    end,
    ended,
    job,
    later,
    outcome,
    started,
)

FIRST = EndedPlace(later(-1e6))


async def ids_after(store: Store, after: EndedPlace = FIRST, *, limit: int = MANY) -> list[str]:
    return [one.id for one in await store.ended(after, limit=limit)]


async def test_how_a_job_ended_is_told_without_what_it_was_given(store: Store) -> None:
    new = job(tenant="a", args='{"to":"ada"}', run_at=later(-5))
    attempt = await started(store, new, now=later(1))
    await end(store, attempt, "fail", now=later(3))
    assert await store.ended(FIRST, limit=MANY) == [
        EndedJob(
            id=new.id,
            name=new.name,
            queue=new.queue,
            tenant="a",
            state=State.FAILED,
            fence=1,
            run_at=later(-5),
            created_at=later(1),
            started_at=later(1),
            ended_at=later(3),
        )
    ]


async def test_jobs_come_in_the_order_in_which_they_ended_whatever_their_state(store: Store) -> None:
    early, late = await started(store), await started(store)
    await end(store, late, "done", now=later(1))
    await end(store, early, "fail", now=later(2))
    [waits] = await add(store, job(run_at=later(60)))
    await store.cancel(Where(ids=(waits,)), limit=1, now=later(3))
    assert await ids_after(store) == [late.id, early.id, waits]
    [*_, cancelled] = await store.ended(FIRST, limit=MANY)
    assert (cancelled.state, cancelled.started_at) == (State.CANCELLED, None)


async def test_those_that_ended_at_one_moment_go_by_id_and_a_page_goes_on_within_them(store: Store) -> None:
    await add(store, *(job() for _ in range(7)))
    attempts = await claim(store)
    await store.finish([outcome(one, "done") for one in reversed(attempts)], now=later(1))
    ids = sorted(one.id for one in attempts)
    seen, place = [], FIRST
    while page := await store.ended(place, limit=2):
        seen += [one.id for one in page]
        place = page[-1].place
    assert seen == ids
    assert await ids_after(store, EndedPlace(later(1), ids[2])) == ids[3:]
    assert await ids_after(store, EndedPlace(later(1))) == ids
    assert await ids_after(store, EndedPlace(later(1.000001))) == []
    assert await ids_after(store, limit=0) == []


async def test_what_lives_again_or_is_forgotten_has_not_ended(store: Store) -> None:
    gone, again, kept = await ended(store), await ended(store, "fail"), await ended(store)
    await store.forget(Where(ids=(gone,)), limit=1)
    await store.retry(Where(ids=(again,)), limit=1, now=later(1))
    assert await ids_after(store) == [kept]
    [attempt] = await claim(store, now=later(1))
    await end(store, attempt, "done", now=later(2), keep_until=later(3))
    [_, second] = await store.ended(FIRST, limit=MANY)
    assert (second.id, second.fence) == (again, 2), "it has ended once more, by another attempt"
    assert await store.prune(Keep(), limit=MANY, now=later(4)) == 1
    assert await ids_after(store) == [kept]
    assert await store.forget(EVERY, limit=MANY) == [kept]
    assert await ids_after(store) == []


async def test_one_whose_worker_died_too_often_has_not_ended_until_it_is_given_up(store: Store) -> None:
    attempt = await started(store)
    await store.sweep(MANY, now=NOW + LEASE * 2)
    assert await ids_after(store) == []
    [again] = await claim(store, now=NOW + LEASE * 2)
    assert again.id == attempt.id
    await end(store, again, "done", now=NOW + LEASE * 3)
    assert await ids_after(store) == [attempt.id]
