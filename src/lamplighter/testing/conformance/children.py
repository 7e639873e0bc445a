"""Children: a job is held until those of its group have ended, and runs once, whoever ended the last of them."""

from __future__ import annotations

import asyncio

import pytest

from lamplighter.core.model import (
    Added,
    Children,
    Keep,
    NewJob,
    OnChildFailure,
    State,
    Swept,
    Unique,
    Verb,
    Where,
)
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
    MANY,
    NOW,
    OpenAgain,
    add,
    children_of,
    claim,
    end,
    failure,
    ids_of,
    job,
    later,
    outcome,
    parent,
    see,
    unique,
)

BATCH = 2000
PATIENCE = 60  # seconds


async def family(
    store: Store, n: int, on_failure: OnChildFailure = "fail", **changes: object
) -> tuple[NewJob, list[str]]:
    """A job that is held for so many children, and their ids, the oldest first."""
    held = parent(n, on_child_failure=on_failure)
    _, *ids = await add(store, held, *children_of(held, n, **changes))
    return held, ids


async def end_all(store: Store, verb: Verb = "done", limit: int = MANY, **changes: object) -> list[str]:
    """Claim jobs and end them."""
    attempts = await claim(store, limit)
    outcomes = [outcome(attempt, verb, **changes) for attempt in attempts]
    return await store.finish(outcomes, now=NOW)


async def state_of(store: Store, job: NewJob) -> State:
    return (await see(store, job.id)).state


async def progress_of(store: Store, job: NewJob) -> Children | None:
    return (await see(store, job.id)).children


async def test_a_job_waits_until_its_children_have_ended(store: Store) -> None:
    held, ids = await family(store, 2)
    assert await state_of(store, held) is State.HELD
    assert await end_all(store, limit=1) == ids[:1]
    assert await store.sweep(MANY, now=NOW) == Swept(0, [], None)
    assert await state_of(store, held) is State.HELD
    await end_all(store)
    assert await store.sweep(MANY, now=NOW) == Swept(1, [], None)
    assert [attempt.id for attempt in await claim(store)] == [held.id]


async def test_the_next_look_is_at_once_when_the_last_child_has_ended(store: Store) -> None:
    await family(store, 1)
    await end_all(store)
    assert (await store.sweep(0, now=NOW)).next_at == NOW


async def test_a_job_tells_how_far_its_children_are(store: Store) -> None:
    held = parent(5, on_child_failure="continue")
    await add(store, held)
    assert await progress_of(store, held) == Children(total=5, on_failure="continue")
    await add(store, *children_of(held, 4))
    for verb in ("done", "fail", "cancel"):
        await end_all(store, verb, 1)
    told = Children(total=5, on_failure="continue", added=4, done=1, failed=1, cancelled=1)
    assert await progress_of(store, held) == told
    assert (told.ended, told.settled) == (3, False)


async def test_a_child_tells_whose_it_is_and_a_job_of_its_own_that_it_is_none(store: Store) -> None:
    held, [child] = await family(store, 1)
    assert [(await see(store, id_)).group for id_ in (held.id, child)] == [None, held.id]
    await end_all(store)
    assert ((await see(store, child)).group, (await see(store, child)).children) == (held.id, None)


async def test_a_job_without_children_to_come_is_let_go_at_once(store: Store) -> None:
    held, _ = await family(store, 0)
    assert await store.sweep(MANY, now=NOW) == Swept(1, [], None)
    assert await state_of(store, held) is State.QUEUED


async def test_a_job_that_is_let_go_early_waits_for_its_time(store: Store) -> None:
    held = parent(0, run_at=later(60))
    await add(store, held)
    assert await store.sweep(MANY, now=later(1)) == Swept(0, [], later(60))
    view = await see(store, held.id)
    assert (view.state, view.run_at) == (State.SCHEDULED, later(60))


async def test_a_job_that_is_let_go_gets_in_line_then(store: Store) -> None:
    held, _ = await family(store, 0)
    [first] = await add(store, job(run_at=later(5)), now=later(5))
    await store.sweep(MANY, now=later(9))
    assert (await see(store, held.id)).run_at == later(9)
    assert [attempt.id for attempt in await claim(store, now=later(9))] == [first, held.id]


async def test_no_more_than_the_limit_are_let_go_at_once_the_oldest_first(store: Store) -> None:
    ids = [(await family(store, 0))[0].id for _ in range(3)]
    assert await store.sweep(2, now=NOW) == Swept(2, [], NOW)
    assert await ids_of(store, Where(states=(State.HELD,))) == ids[2:]
    assert await store.sweep(2, now=NOW) == Swept(1, [], None)


@pytest.mark.parametrize(("verb", "fate"), [("fail", "failed"), ("cancel", "was cancelled")])
async def test_a_job_fails_as_soon_as_a_child_does_and_says_which(store: Store, verb: Verb, fate: str) -> None:
    held, [_, lost, waiting] = await family(store, 3)
    await end_all(store, "done", 1)
    await end_all(store, verb, 1, keep_until=later(60), reason="no oil")
    assert await store.sweep(MANY, now=later(1)) == Swept(0, [], None, (held.id,))
    view = await see(store, held.id)
    assert (view.state, view.reason) == (State.FAILED, f"its child {lost} {fate}")
    assert (view.ended_at, view.keep_until, view.failures, view.fence) == (later(1), later(60), 0, 0)
    assert [attempt.id for attempt in await claim(store)] == [waiting], "the others go on"


async def test_the_oldest_of_the_children_that_failed_is_named(store: Store) -> None:
    held, [old, new] = await family(store, 2)
    attempts = await claim(store)
    await end(store, attempts[1], "fail")
    await end(store, attempts[0], "fail")
    await store.sweep(MANY, now=NOW)
    assert ((await see(store, held.id)).reason, new > old) == (f"its child {old} failed", True)


async def test_a_job_that_does_not_mind_runs_whatever_became_of_its_children(store: Store) -> None:
    held, _ = await family(store, 3, "continue")
    for verb in ("fail", "cancel"):
        await end_all(store, verb, 1)
    assert await store.sweep(MANY, now=NOW) == Swept(0, [], None)
    await end_all(store, "done", 1)
    assert await store.sweep(MANY, now=NOW) == Swept(1, [], None)
    assert await state_of(store, held) is State.QUEUED


async def test_an_attempt_that_comes_back_is_no_end(store: Store) -> None:
    held, _ = await family(store, 1)
    for verb in ("retry", "snooze", "release"):
        await end_all(store, verb, run_at=NOW)
        await store.sweep(MANY, now=NOW)
        assert await state_of(store, held) is State.HELD
    await claim(store)
    assert len((await store.sweep(MANY, now=NOW + LEASE)).rescued) == 1
    assert await progress_of(store, held) == Children(total=1, added=1)


async def test_a_child_that_is_stopped_or_lost_counts_as_cancelled(store: Store) -> None:
    held, [child] = await family(store, 1)
    await claim(store)
    await store.cancel(Where(ids=(child,)), limit=1, now=NOW)
    swept = await store.sweep(MANY, now=NOW + LEASE)
    assert (swept.rescued, swept.next_at) == ([child], NOW + LEASE)
    assert await progress_of(store, held) == Children(total=1, added=1, cancelled=1)
    assert (await store.sweep(MANY, now=NOW + LEASE)).failed == (held.id,)


async def test_a_chain_runs_one_after_the_other(store: Store) -> None:
    last = parent(1)
    middle = parent(1, group=last.id)
    await add(store, last, middle, first := job(group=middle.id))
    ran: list[str] = []
    for _ in range(3):
        ran += await end_all(store)
        await store.sweep(MANY, now=NOW)
    assert ran == [first.id, middle.id, last.id]


async def test_a_failure_climbs_a_tree_step_by_step(store: Store) -> None:
    root = parent(1)
    middle = parent(1, group=root.id)
    await add(store, root, middle, job(group=middle.id))
    await end_all(store, "fail")
    assert await store.sweep(MANY, now=NOW) == Swept(0, [], NOW, (middle.id,))
    assert await store.sweep(MANY, now=NOW) == Swept(0, [], None, (root.id,))
    assert (await see(store, root.id)).reason == f"its child {middle.id} failed"


async def test_adding_a_batch_again_changes_nothing(store: Store) -> None:
    held = parent(3)
    batch = [held, *children_of(held, 3)]
    await add(store, *batch[:2])
    assert await store.add(batch, now=NOW) == [Added(new.id, created=True) for new in batch]
    assert await store.add(batch, now=NOW) == [Added(new.id, created=True) for new in batch]
    assert await progress_of(store, held) == Children(total=3, added=3)
    await end_all(store, "done", 2)
    before = await store.page(EVERY, limit=MANY)
    assert await store.add(batch, now=later(1)) == [Added(new.id, created=True) for new in batch]
    assert await store.page(EVERY, limit=MANY) == before


async def test_a_child_that_comes_twice_in_one_batch_is_one(store: Store) -> None:
    held = parent(1)
    [child] = children_of(held, 1)
    batch = [held, child, child, held]
    assert await store.add(batch, now=NOW) == [Added(new.id, created=True) for new in batch]
    assert await progress_of(store, held) == Children(total=1, added=1)


async def test_children_of_nobody_are_not_added(store: Store) -> None:
    nobody, plain = parent(1), job()
    await add(store, plain)
    late = parent(1)
    await add(store, late)
    await store.cancel(Where(ids=(late.id,)), limit=1, now=NOW)
    orphans = [children_of(of, 1)[0] for of in (nobody, plain, late)]
    assert await store.add(orphans, now=NOW) == [Added(orphan.id, created=False) for orphan in orphans]
    assert set(await ids_of(store)) == {plain.id, late.id}


async def test_what_hangs_below_an_orphan_is_not_added_either(store: Store) -> None:
    top = parent(1)
    middle = parent(1, group=top.id)
    below = children_of(middle, 2)
    other = parent(1)
    answers = await store.add([middle, *below, other, *children_of(other, 1)], now=NOW)
    assert [one.created for one in answers] == [False, False, False, True, True]
    assert len(await ids_of(store)) == 2
    assert await progress_of(store, other) == Children(total=1, added=1)


async def test_children_of_a_job_whose_key_is_held_are_not_added(store: Store) -> None:
    [holder] = await add(store, unique())
    held = parent(2, unique=Unique("the key"))
    answers = await store.add([held, *children_of(held, 2)], now=NOW)
    assert [one.created for one in answers] == [False, False, False]
    assert answers[0] == Added(holder, created=False)
    assert await ids_of(store) == [holder]


async def test_a_job_that_is_held_keeps_its_key_and_is_not_replaced(store: Store) -> None:
    held = parent(1, unique=Unique("the key"))
    await add(store, held)
    eager = unique(name="report", replaces=True, args="[2]")
    assert await store.add([eager], now=NOW) == [Added(held.id, created=False)]
    assert ((await see(store, held.id)).state, (await see(store, held.id)).args) == (State.HELD, "{}")


async def test_children_are_a_filter(store: Store) -> None:
    held, ids = await family(store, 3)
    other, [alone] = await family(store, 1)
    await end_all(store, "done", 2)
    await store.cancel(Where(ids=(ids[2],)), limit=1, now=NOW)
    assert await ids_of(store, Where(groups=(held.id,))) == ids[::-1]
    assert await ids_of(store, Where(groups=(held.id, other.id))) == [alone, *ids[::-1]]
    assert await ids_of(store, Where(groups=(held.id,), states=(State.DONE,))) == ids[1::-1]
    assert await ids_of(store, Where(groups=(held.id,), names=("none such",))) == []
    assert await ids_of(store, Where(groups=(held.id,), ids=(ids[0], alone))) == ids[:1]
    page = await store.page(Where(groups=(held.id,)), limit=1, before=ids[2])
    assert [view.id for view in page] == [ids[1]]


async def test_children_are_kept_as_long_as_their_parent_lives(store: Store) -> None:
    held, ids = await family(store, 2, "continue")
    await end_all(store, "done", 1, keep_until=NOW)
    await end_all(store, "fail", 1, keep_until=later(5))
    assert await store.prune(Keep(0, 0), limit=MANY, now=later(99)) == 0
    assert await ids_of(store, Where(groups=(held.id,))) == ids[::-1]
    await store.sweep(MANY, now=NOW)
    [attempt] = await claim(store)
    assert await store.prune(Keep(0, 0), limit=MANY, now=later(99)) == 0
    await end(store, attempt, "done", keep_until=later(1000))
    assert await store.prune(Keep(), limit=MANY, now=NOW) == 1
    assert await ids_of(store, Where(groups=(held.id,))) == ids[1:]
    assert await store.prune(Keep(), limit=MANY, now=later(5)) == 1
    assert await progress_of(store, held) == Children(total=2, on_failure="continue", added=2, done=1, failed=1)


async def test_children_that_are_spared_keep_no_others_from_being_forgotten(store: Store) -> None:
    held, _ = await family(store, 3)
    await end_all(store, "done", 3, keep_until=later(1))
    await add(store, other := job())
    await end_all(store, "done", keep_until=later(2))
    assert await store.prune(Keep(0, 0), limit=1, now=later(9)) == 1
    assert other.id not in await ids_of(store)
    assert len(await ids_of(store, Where(groups=(held.id,)))) == 3


async def test_a_forgotten_parent_leaves_its_children_alone(store: Store) -> None:
    held, _ = await family(store, 2)
    await store.cancel(Where(ids=(held.id,)), limit=1, now=NOW, keep_until=NOW)
    await end_all(store)
    assert [view.state for view in await store.page(Where(groups=(held.id,)), limit=9)] == [State.DONE] * 2
    assert await store.sweep(MANY, now=NOW) == Swept(0, [], None)
    assert await store.prune(Keep(0, 0), limit=MANY, now=NOW) == 2


async def test_a_cancelled_parent_stays_so_and_its_children_go_on(store: Store) -> None:
    held, _ = await family(store, 1)
    assert (await store.cancel(Where(ids=(held.id,)), limit=1, now=NOW)).ended == [held.id]
    await end_all(store)
    assert await store.sweep(MANY, now=NOW) == Swept(0, [], None)
    view = await see(store, held.id)
    assert (view.state, view.children) == (State.CANCELLED, Children(total=1, added=1, done=1))


async def test_a_held_job_is_not_retried(store: Store) -> None:
    held, _ = await family(store, 1)
    assert await store.retry(Where(ids=(held.id,)), limit=1, now=NOW) == []
    assert await state_of(store, held) is State.HELD


async def test_a_retried_parent_waits_for_its_retried_child(store: Store) -> None:
    held, [child] = await family(store, 1)
    await end_all(store, "fail")
    await store.sweep(MANY, now=NOW)
    assert set(await store.retry(EVERY, limit=MANY, now=later(1))) == {held.id, child}
    view = await see(store, held.id)
    assert (view.state, view.children, view.reason) == (State.HELD, Children(total=1, added=1), None)
    await end_all(store)
    await store.sweep(MANY, now=later(1))
    assert [attempt.id for attempt in await claim(store)] == [held.id]


async def test_a_retried_parent_fails_again_while_its_child_has_failed(store: Store) -> None:
    held, _ = await family(store, 1)
    await end_all(store, "fail")
    await store.sweep(MANY, now=NOW)
    await store.retry(Where(ids=(held.id,)), limit=1, now=NOW)
    assert (await store.sweep(MANY, now=NOW)).failed == (held.id,)


async def test_a_retried_parent_goes_by_what_its_forgotten_children_came_to(store: Store) -> None:
    held, _ = await family(store, 2)
    await end_all(store, "done", keep_until=NOW)
    await store.sweep(MANY, now=NOW)
    await end_all(store, "fail")
    assert await store.prune(Keep(), limit=MANY, now=NOW) == 2
    assert await store.retry(Where(ids=(held.id,)), limit=1, now=NOW) == [held.id]
    assert await store.sweep(MANY, now=NOW) == Swept(1, [], None)


async def test_a_parent_fails_though_its_failed_child_is_forgotten(store: Store) -> None:
    held, [child] = await family(store, 1, queue="a")
    await end_all(store, "fail")
    await store.sweep(MANY, now=NOW)
    await add(store, job(queue="a"))
    await end_all(store, "fail")
    await store.prune(Keep(failed=1), limit=MANY, now=NOW)
    assert child not in await ids_of(store)
    await store.retry(Where(ids=(held.id,)), limit=1, now=NOW)
    assert (await store.sweep(MANY, now=NOW)).failed == (held.id,)
    assert (await see(store, held.id)).reason == "a child of it, now forgotten, failed"


async def test_why_a_parent_failed_itself_is_kept_too(store: Store) -> None:
    held, _ = await family(store, 0)
    await store.sweep(MANY, now=NOW)
    [attempt] = await claim(store)
    await end(store, attempt, "fail", failure=failure(attempt))
    assert await store.failures(held.id) == [failure(attempt)]


async def test_many_who_end_the_children_of_one_job_let_it_go_once(store: Store, open_again: OpenAgain) -> None:
    held, ids = await family(store, 200)

    async def work(at: Store, worker: str) -> list[str]:
        ran: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while await state_of(at, held) is not State.DONE:
                attempts = await claim(at, 3, worker=worker)
                ran += await at.finish([outcome(attempt, "done") for attempt in attempts], now=NOW)
                await at.sweep(MANY, now=NOW)
        return ran

    async with open_again() as twin:
        ran = await asyncio.gather(*(work((store, twin)[n % 2], f"w-{n}") for n in range(8)))
    assert sorted(id_ for mine in ran for id_ in mine) == sorted([held.id, *ids])
    view = await see(store, held.id)
    assert (view.fence, view.children) == (1, Children(total=200, added=200, done=200))


async def test_two_thousand_children_end_before_their_parent_begins(store: Store) -> None:
    held = parent(BATCH, on_child_failure="continue")
    await add(store, held)
    children = children_of(held, BATCH)
    for first in range(0, BATCH, MANY):
        await add(store, *children[first : first + MANY])
    for _ in range(0, BATCH, MANY):
        assert await store.sweep(MANY, now=NOW) == Swept(0, [], None)
        await end_all(store, "done", result="1", keep_until=NOW)
    await add(store, *(job() for _ in range(5)))
    await end_all(store, "done")
    assert await store.prune(Keep(0, 0), limit=10, now=NOW) == 5, "the others, though they are the newest"
    assert await store.sweep(MANY, now=NOW) == Swept(1, [], None)
    assert await progress_of(store, held) == Children(total=BATCH, on_failure="continue", added=BATCH, done=BATCH)
    seen: list[str] = []
    before: str | None = None
    while page := await store.page(Where(groups=(held.id,)), limit=700, before=before):
        seen += [view.id for view in page]
        before = seen[-1]
    assert seen == [child.id for child in reversed(children)]


async def test_a_job_of_a_group_has_no_key_of_its_own() -> None:
    with pytest.raises(ValueError, match="a job of a group has no unique key"):
        job(group="a", unique=Unique("k"))
    with pytest.raises(ValueError, match="cannot wait for -1 children"):
        parent(-1)
