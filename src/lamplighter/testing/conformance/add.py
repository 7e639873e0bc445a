"""Adding: what is added is there, once, whole."""

from __future__ import annotations

import pytest

from lamplighter.core.errors import TransactionUnsupported
from lamplighter.core.model import Added, JobView, Priority, State, Unique
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
    NOW,
    OpenAgain,
    add,
    claim,
    end,
    ended,
    ids_of,
    job,
    later,
    see,
    unique,
)


async def test_a_job_that_is_due_is_queued(store: Store) -> None:
    past, present = await add(store, job(run_at=later(-5)), job(run_at=NOW))
    assert (await see(store, past)).state is State.QUEUED
    assert (await see(store, present)).state is State.QUEUED


async def test_a_job_of_the_future_is_scheduled(store: Store) -> None:
    [id_] = await add(store, job(run_at=later(0.000001)))
    assert (await see(store, id_)).state is State.SCHEDULED


async def test_all_that_was_said_of_a_job_is_kept(store: Store) -> None:
    new = unique(
        "k", name="send", tenant="t-1", priority=Priority.HIGH, args='{"to": "å \\u0001 \\" 🪔"}', run_at=later(1)
    )
    await add(store, new)
    assert await see(store, new.id) == JobView(
        id=new.id,
        name="send",
        queue="mail",
        tenant="t-1",
        state=State.SCHEDULED,
        priority=10,
        run_at=later(1),
        created_at=NOW,
        args=new.args,
        fence=0,
        failures=0,
        crashes=0,
        unique=Unique("k", "pending"),
        limits=(),
        waits_on=None,
        worker=None,
        started_at=None,
        lease_until=None,
        stopping=False,
        progress=None,
        ended_at=None,
        keep_until=None,
        result=None,
        reason=None,
    )


async def test_a_job_that_comes_with_a_past_keeps_it(store: Store) -> None:
    key = Unique("k", "period", later(60))
    moved = job(created_at=later(-3600), failures=2, crashes=1, unique=key)
    await add(store, moved)
    view = await see(store, moved.id)
    assert (view.created_at, view.failures, view.crashes, view.unique) == (later(-3600), 2, 1, key)
    [attempt] = await claim(store)
    assert (attempt.created_at, attempt.failures, attempt.crashes, attempt.fence) == (later(-3600), 2, 1, 1)
    await end(store, attempt, "fail")
    view = await see(store, moved.id)
    assert (view.created_at, view.failures, view.crashes, view.unique) == (later(-3600), 3, 1, key)


@pytest.mark.parametrize("text", ["'; DROP TABLE jobs; --", "100% ${x} {y} :now ?", "日本語 🪔", "a\\b\"c'd\n\t", " "])
async def test_any_text_is_only_text(store: Store, text: str) -> None:
    await add(store, new := unique(text, queue=text, name=text, tenant=text))
    view = await see(store, new.id)
    assert (view.queue, view.name, view.tenant, view.unique) == (text, text, text, Unique(text))
    assert [stats.queue for stats in await store.stats()] == [text]


async def test_each_job_is_answered_in_order(store: Store) -> None:
    jobs = [job(), job(queue="other"), job(run_at=later(60))]
    assert await store.add(jobs, now=NOW) == [Added(new.id, created=True) for new in jobs]


async def test_adding_nothing_adds_nothing(store: Store) -> None:
    assert await store.add([], now=NOW) == []
    assert await ids_of(store) == []


async def test_adding_an_id_again_changes_nothing(store: Store) -> None:
    await add(store, new := job())
    before = await see(store, new.id)
    again = job(queue="other", args='{"changed": true}', run_at=later(60))
    again = type(new)(id=new.id, name="other", queue=again.queue, run_at=again.run_at, args=again.args)
    assert await store.add([again], now=later(1)) == [Added(new.id, created=True)]
    assert await store.page(EVERY, limit=10) == [before]


async def test_adding_an_id_twice_in_one_batch_adds_it_once(store: Store) -> None:
    new = job()
    assert await store.add([new, new], now=NOW) == [Added(new.id, created=True)] * 2
    assert await ids_of(store) == [new.id]


async def test_adding_the_id_of_an_ended_job_does_not_run_it_again(store: Store) -> None:
    new = job()
    await ended(store, new=new)
    before = await see(store, new.id)
    assert await store.add([new], now=later(1)) == [Added(new.id, created=True)]
    assert await store.page(EVERY, limit=10) == [before]


async def test_what_was_added_is_there_for_another_handle(store: Store, open_again: OpenAgain) -> None:
    [id_] = await add(store, job())
    async with open_again() as twin:
        assert await see(twin, id_) == await see(store, id_)


async def test_a_transaction_of_another_kind_is_refused(store: Store) -> None:
    with pytest.raises(TransactionUnsupported, match="same"):
        await store.add([job()], now=NOW, tx=object())
    with pytest.raises(TransactionUnsupported, match="same"):
        store.add_within(object(), [job()], now=NOW)
    assert await ids_of(store) == []
