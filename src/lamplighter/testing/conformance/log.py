"""Logging: what a running job says is kept with it, as far as there is room, and only as long as it is its worker's."""

from __future__ import annotations

from lamplighter.core.log_line import Logged, LogLine, LogPlace
from lamplighter.core.model import Claimed, Keep, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import EVERY, NOW, add, claim, end, job, later, parent, started

KEEP = 10


def lines(*numbers: int) -> list[LogLine]:
    """Lines of these numbers, as an attempt has them before they are kept."""
    return [
        LogLine(n=n, at=later(n), level="info", message=f"line {n} \N{SNOWMAN}", fields='{"files":12}') for n in numbers
    ]


def said(attempt: Claimed, *numbers: int) -> Logged:
    """That an attempt logged these."""
    return Logged(attempt.id, attempt.fence, lines(*numbers))


async def places(store: Store, id_: str, after: LogPlace | None = None, limit: int = 100) -> list[tuple[int, int]]:
    """Where the lines of a job stand that are kept."""
    return [line.place for line in await store.logs(id_, after=after, limit=limit)]


async def test_a_line_is_kept_as_it_was_logged(store: Store) -> None:
    attempt = await started(store)
    [line] = lines(1)
    await store.log([Logged(attempt.id, attempt.fence, [line])], keep=KEEP)
    expected = LogLine(n=1, at=line.at, level="info", message=line.message, fields=line.fields, fence=1)
    assert await store.logs(attempt.id, limit=10) == [expected]


async def test_a_job_that_logged_nothing_has_no_lines(store: Store) -> None:
    attempt = await started(store)
    await store.log([], keep=KEEP)
    await store.log([Logged(attempt.id, attempt.fence, [])], keep=KEEP)
    assert await store.logs(attempt.id, limit=10) == await store.logs("none such", limit=10) == []


async def test_the_last_lines_of_each_job_are_kept(store: Store) -> None:
    much, little = await started(store), await started(store)
    await store.log([said(much, *range(1, 9)), said(little, 1)], keep=5)
    await store.log([said(much, 9, 10)], keep=5)
    assert await places(store, much.id) == [(1, n) for n in range(6, 11)]
    assert await places(store, little.id) == [(1, 1)]


async def test_lines_that_come_again_are_there_once(store: Store) -> None:
    attempt = await started(store)
    await store.log([said(attempt, 1, 2)], keep=KEEP)
    await store.log([said(attempt, 1, 2, 3)], keep=KEEP)
    assert await places(store, attempt.id) == [(1, 1), (1, 2), (1, 3)]


async def test_who_follows_a_job_is_told_what_is_new(store: Store) -> None:
    attempt = await started(store)
    await store.log([said(attempt, 1, 2, 4, 5)], keep=KEEP)
    assert await places(store, attempt.id, LogPlace(1, 2)) == [(1, 4), (1, 5)]
    assert await places(store, attempt.id, LogPlace(1, 3), limit=1) == [(1, 4)]
    assert await places(store, attempt.id, LogPlace(), limit=2) == [(1, 1), (1, 2)]
    assert await places(store, attempt.id, LogPlace(1, 5)) == await places(store, attempt.id, LogPlace(), 0) == []


async def test_who_asks_for_the_last_lines_gets_them_in_order(store: Store) -> None:
    attempt = await started(store)
    await store.log([said(attempt, 1, 2, 3)], keep=KEEP)
    assert await places(store, attempt.id, limit=2) == [(1, 2), (1, 3)]
    assert await places(store, attempt.id, limit=0) == await places(store, "none such") == []


async def test_the_lines_of_a_later_attempt_follow_those_of_the_one_before(store: Store) -> None:
    first = await started(store)
    await store.log([said(first, 1, 2)], keep=KEEP)
    await end(store, first, "retry", run_at=NOW)
    await store.sweep(1, now=NOW)
    [second] = await claim(store)
    await store.log([said(second, 1)], keep=KEEP)
    assert await places(store, first.id) == [(1, 1), (1, 2), (2, 1)]
    assert await places(store, first.id, LogPlace(1, 2)) == [(2, 1)]


async def test_an_attempt_that_lost_its_lease_adds_nothing(store: Store) -> None:
    lost = await started(store)
    await end(store, lost, "release")
    [current] = await claim(store, worker="w-2")
    await store.log([said(lost, 1), said(current, 1), Logged("none such", 1, lines(1))], keep=KEEP)
    assert await places(store, lost.id) == [(2, 1)]
    assert await places(store, "none such") == []


async def test_an_attempt_that_has_ended_adds_nothing(store: Store) -> None:
    attempt = await started(store)
    await store.log([said(attempt, 1)], keep=KEEP)
    await end(store, attempt, "done")
    await store.log([said(attempt, 1, 2)], keep=KEEP)
    assert await places(store, attempt.id) == [(1, 1)]


async def test_what_was_logged_outlives_a_retry_by_hand(store: Store) -> None:
    attempt = await started(store)
    await store.log([said(attempt, 1)], keep=KEEP)
    await end(store, attempt, "fail", reason="no")
    assert await store.retry(Where(ids=(attempt.id,)), limit=1, now=NOW) == [attempt.id]
    assert await places(store, attempt.id) == [(1, 1)]


async def test_what_was_logged_by_a_job_with_children_outlives_a_retry_too(store: Store) -> None:
    [held] = await add(store, parent(0))
    await store.sweep(10, now=NOW)
    [attempt] = await claim(store)
    await store.log([said(attempt, 1)], keep=KEEP)
    await end(store, attempt, "fail", reason="no")
    await store.retry(Where(ids=(held,)), limit=1, now=NOW)
    assert await places(store, held) == [(1, 1)]


async def test_what_was_logged_is_forgotten_with_its_job(store: Store) -> None:
    pruned, stays = await started(store), await started(store)
    await store.log([said(pruned, 1), said(stays, 1)], keep=KEEP)
    await end(store, pruned, "done", keep_until=later(1))
    assert await store.prune(Keep(), limit=10, now=later(2)) == 1
    assert await places(store, pruned.id) == []
    assert await places(store, stays.id) == [(1, 1)]


async def test_what_was_logged_by_a_job_that_is_not_kept_is_forgotten_at_once(store: Store) -> None:
    attempt = await started(store)
    await store.log([said(attempt, 1)], keep=KEEP)
    await end(store, attempt, "done", keep_until=NOW)
    assert await places(store, attempt.id) == []


async def test_a_job_that_is_rescued_keeps_what_it_logged(store: Store) -> None:
    attempt = await started(store, job())
    await store.log([said(attempt, 1)], keep=KEEP)
    assert (await store.sweep(10, now=later(60))).rescued == [attempt.id]
    await store.cancel(EVERY, limit=10, now=later(60))
    assert await places(store, attempt.id) == [(1, 1)]
