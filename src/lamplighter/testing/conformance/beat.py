"""Beating: a lease lives as long as its worker says so."""

from __future__ import annotations

from lamplighter.core.model import Beat, Beaten
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import EVERY, LEASE, NOW, claim, end, later, see, started


async def test_a_beat_renews_the_lease(store: Store) -> None:
    attempt = await started(store)
    assert await store.beat([Beat(attempt.id, attempt.fence)], lease=LEASE, now=later(20)) == Beaten([], [])
    assert (await see(store, attempt.id)).lease_until == later(20) + LEASE
    assert (await store.sweep(10, now=NOW + LEASE)).rescued == []


async def test_a_beat_that_comes_late_shortens_no_lease(store: Store) -> None:
    attempt = await started(store)
    for moment in (20, 5):
        await store.beat([Beat(attempt.id, attempt.fence)], lease=LEASE, now=later(moment))
    assert (await see(store, attempt.id)).lease_until == later(20) + LEASE


async def test_a_beat_stores_progress_and_keeps_it_when_it_brings_none(store: Store) -> None:
    attempt = await started(store)
    await store.beat([Beat(attempt.id, attempt.fence, '{"done": 5}')], lease=LEASE, now=NOW)
    await store.beat([Beat(attempt.id, attempt.fence)], lease=LEASE, now=later(1))
    assert (await see(store, attempt.id)).progress == '{"done": 5}'


async def test_a_worker_learns_which_jobs_to_stop(store: Store) -> None:
    attempt = await started(store)
    await store.cancel(EVERY, limit=1, now=NOW)
    other = await started(store)
    beats = [Beat(attempt.id, attempt.fence), Beat(other.id, other.fence)]
    assert await store.beat(beats, lease=LEASE, now=NOW) == Beaten([attempt.id], [])


async def test_a_worker_learns_which_jobs_it_lost(store: Store) -> None:
    lost, done = await started(store), await started(store)
    await end(store, done, "done")
    await end(store, lost, "release")
    await claim(store, worker="w-2")
    before = await see(store, lost.id)
    beats = [Beat(lost.id, lost.fence, "1"), Beat(done.id, done.fence), Beat("none such", 1)]
    assert await store.beat(beats, lease=LEASE, now=later(9)) == Beaten([], [lost.id, done.id, "none such"])
    assert await see(store, lost.id) == before


async def test_a_lost_and_a_current_attempt_at_one_job_beat_apart(store: Store) -> None:
    lost = await started(store)
    await end(store, lost, "release")
    [current] = await claim(store)
    beats = [Beat(lost.id, lost.fence, '"lost"'), Beat(current.id, current.fence, '"current"')]
    assert await store.beat(beats, lease=LEASE, now=NOW) == Beaten([], [lost.id])
    assert (await see(store, current.id)).progress == '"current"'


async def test_no_beats_change_nothing(store: Store) -> None:
    assert await store.beat([], lease=LEASE, now=NOW) == Beaten([], [])
