"""Traces: a job goes on carrying what it was enqueued with, and its arguments stay as they were."""

from __future__ import annotations

import pytest

from lamplighter.core.model import Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import NOW, add, claim, end, job, later, see, started, unique

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


@pytest.mark.parametrize("args", ["{}", '{"name":"Ada"}', '{ "name": "Ada" }'])
@pytest.mark.parametrize("trace", [None, TRACE])
async def test_a_job_carries_its_trace(store: Store, args: str, trace: str | None) -> None:
    [id_] = await add(store, job(args=args, trace=trace))
    view = await see(store, id_)
    [attempt] = await claim(store)
    for one in (view, attempt):
        assert (one.args.replace(" ", ""), one.trace) == (args.replace(" ", ""), trace)


async def test_a_job_carries_its_trace_through_every_attempt(store: Store) -> None:
    attempt = await started(store, job(trace=TRACE))
    await end(store, attempt, "retry", run_at=NOW)
    await store.sweep(1, now=NOW)
    [again] = await claim(store)
    assert again.trace == TRACE
    await end(store, again, "fail", reason="no")
    assert (await see(store, attempt.id)).trace == TRACE
    await store.retry(Where(ids=(attempt.id,)), limit=1, now=NOW)
    [third] = await claim(store)
    assert third.trace == TRACE


async def test_a_job_that_is_replaced_carries_the_trace_of_what_replaced_it(store: Store) -> None:
    [holder] = await add(store, unique(run_at=later(9), args='{"n":1}', trace=TRACE))
    [added] = await store.add([unique(args='{"n":2}', trace=OTHER, replaces=True)], now=NOW)
    assert (added.id, added.replaced) == (holder, True)
    view = await see(store, holder)
    assert (view.args, view.trace) == ('{"n":2}', OTHER)
