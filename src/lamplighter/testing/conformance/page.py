"""Paging: the newest first, each job once, whatever its state."""

from __future__ import annotations

import pytest

from lamplighter.core.model import Arguments, State, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import EVERY, add, ended, ids_of, job, later, parent, started


async def test_pages_join_up_to_the_whole(store: Store) -> None:
    ids = [await ended(store) if n % 3 else (await add(store, job(run_at=later(9))))[0] for n in range(10)]
    seen: list[str] = []
    before: str | None = None
    while page := await store.page(EVERY, limit=3, before=before):
        seen += [view.id for view in page]
        before = seen[-1]
    assert seen == ids[::-1]


@pytest.mark.parametrize("state", list(State))
async def test_a_state_is_a_filter(store: Store, state: State) -> None:
    for verb in ("done", "fail", "cancel"):
        await ended(store, verb)
    await started(store)
    await add(store, job(), job(run_at=later(9)), parent(1))
    assert [view.state for view in await store.page(Where(states=(state,)), limit=10)] == [state]


async def test_arguments_are_those_of_the_jobs_of_a_page(store: Store) -> None:
    for n in range(3):
        await ended(store, new=job(queue="xy"[n % 2], args=f'{{"n":{n}}}'))
    held = parent(1, args='{"é":"\\u0000"}')
    await add(store, *(job(args=f'{{"n":{n}}}', run_at=later(n)) for n in range(2)), held)
    views = await store.page(EVERY, limit=10)
    assert await store.arguments(EVERY, limit=10) == [Arguments(view.id, view.args) for view in views]
    where = Where(queues=("x",), states=(State.DONE,))
    assert [one.args for one in await store.arguments(where, limit=10)] == ['{"n":2}', '{"n":0}']
    assert [one.args for one in await store.arguments(where, limit=1)] == ['{"n":2}']
    assert [one.args for one in await store.arguments(where, limit=9, before=views[3].id)] == ['{"n":0}']
    assert await store.arguments(EVERY, limit=0) == []


async def test_every_filter_must_match(store: Store) -> None:
    a, b, c = await add(
        store, job(queue="x", tenant="t"), job(queue="y", tenant="t", name="other"), job(queue="y", run_at=later(9))
    )
    assert await ids_of(store, Where(queues=("y",))) == [c, b]
    assert await ids_of(store, Where(queues=("x", "y"), tenants=("t",))) == [b, a]
    assert await ids_of(store, Where(names=("other", "none such"))) == [b]
    assert await ids_of(store, Where(queues=("y",), states=(State.SCHEDULED,))) == [c]
    assert await ids_of(store, Where(ids=(a, c, "none such"))) == [c, a]
    assert await ids_of(store, Where(ids=(a,), queues=("y",))) == []


async def test_filters_and_pages_go_together(store: Store) -> None:
    ids = await add(store, *(job(queue="xy"[n % 2]) for n in range(6)))
    page = await store.page(Where(queues=("x",)), limit=1, before=ids[4])
    assert [view.id for view in page] == [ids[2]]


async def test_the_newest_of_a_state_are_in_order_however_they_lie_in_queues_and_tenants(store: Store) -> None:
    queues = ["a"] * 9 + ["b"] + ["a", "c"] * 4 + ["b"] * 2
    ids = [await ended(store, new=job(queue=queue, tenant=queue.upper())) for queue in queues][::-1]
    for where in (Where(states=(State.DONE,)), Where(queues=("a", "b", "c")), Where(tenants=("A", "B", "C"))):
        for limit in (1, 3, 7, len(ids), 50):
            assert [view.id for view in await store.page(where, limit=limit)] == ids[:limit]
        assert [view.id for view in await store.page(where, limit=5, before=ids[3])] == ids[4:9]
