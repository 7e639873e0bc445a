"""The model is able to fail: stores that are wrong in one way only do not pass it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import settings
from msgspec.structs import replace

from lamplighter.core.model import ENDED, LIVE, Added, JobView, NewJob, Outcome, State, Where
from lamplighter.store.memory import MemoryStore
from lamplighter.store.memory.store import Claim
from lamplighter.testing.conformance.model import HISTORIES, compare

SAME_EVERY_TIME = settings(HISTORIES, derandomize=True, print_blob=False, max_examples=2000)  # until it is found


class TrustsLostWorkers(MemoryStore):
    def _finish(self, outcome: Outcome, now: datetime) -> JobView | None:
        found = self._jobs.find(Where(ids=(outcome.id,)), LIVE, 1)
        return super()._finish(replace(outcome, fence=found[0].fence) if found else outcome, now)


class ForgivesTheCrashesOfStoppedJobs(MemoryStore):
    def _rescue(self, job: JobView, now: datetime) -> None:
        super()._rescue(replace(job, crashes=job.crashes - job.stopping), now)


class ComesBackWithoutItsKey(MemoryStore):
    def _return(self, job: JobView, state: State, now: datetime) -> None:
        unique = self._uniques.pop(job.id, None)
        super()._return(job, state, now)
        if unique:
            self._uniques[job.id] = unique


class AddsEndedJobsAgain(MemoryStore):
    def _add(self, new: NewJob, now: datetime) -> Added:
        if self._jobs.find(Where(ids=(new.id,)), ENDED, 1):
            self._forget(new.id)
        return super()._add(new, now)


class KeepsTheKeysOfEndedJobs(MemoryStore):
    def _end(self, job: JobView, state: State, now: datetime) -> None:
        self._uniques.pop(job.id, None)
        super()._end(job, state, now)


class DebouncesForEver(MemoryStore):
    def _replace(self, holder: str, new: NewJob, now: datetime) -> bool:
        return super()._replace(holder, replace(new, debounce_for=None), now)


class RunsReplacedJobsAtTheirOldTime(MemoryStore):
    def _replace(self, holder: str, new: NewJob, now: datetime) -> bool:
        found = self._jobs.find(Where(ids=(holder,)), LIVE, 1)
        return super()._replace(holder, replace(new, run_at=found[0].run_at) if found else new, now)


class ChargesThoseWhoMustWait(MemoryStore):
    def _admit(self, job: JobView, claim: Claim) -> bool:
        admitted = super()._admit(job, claim)
        if not admitted:
            self._flow.lines.charge(job, 1)
        return admitted


class LosesTheSlotsOfDeadWorkers(MemoryStore):
    def _rescue(self, job: JobView, now: datetime) -> None:
        super()._rescue(job, now)
        self._flow.settle([(job, None)], now)


class ForgetsWhatHandlersOrder(MemoryStore):
    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        return await super().finish([replace(outcome, orders=()) for outcome in outcomes], now=now)


class CountsSnoozesAsFailures(MemoryStore):
    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        won = await super().finish(outcomes, now=now)
        snoozed = {outcome.id for outcome in outcomes if outcome.verb == "snooze"} & set(won)
        found = self._jobs.find(Where(ids=tuple(snoozed)), LIVE, 10) if snoozed else []
        self._flow.settle([(job, False) for job in found], now)
        return won


class LetsGoOneChildTooEarly(MemoryStore):
    def _add(self, new: NewJob, now: datetime) -> Added:
        fewer = new.children and new.children - 1
        return super()._add(replace(new, children=fewer), now)


class RunsParentsOfFailedChildren(MemoryStore):
    def _add(self, new: NewJob, now: datetime) -> Added:
        return super()._add(replace(new, on_child_failure="continue"), now)


class CountsRetriedChildrenTwice(MemoryStore):
    def _revive(self, job: JobView, now: datetime) -> None:
        super()._revive(job, now)
        if job.state in ENDED:
            self._jobs.tally(job.group, job.state, 1)


class AddsOrphans(MemoryStore):
    def _add(self, new: NewJob, now: datetime) -> Added:
        added = super()._add(new, now)
        return added if added.created or not new.group else super()._add(replace(new, group=None), now)


class ForgetsChildrenBeforeTheirParentRuns(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        setattr(self._jobs, "spared", lambda _: False)  # noqa: B010 - a method, to mypy


class RunsRetriedParentsAtOnce(MemoryStore):
    def _revive(self, job: JobView, now: datetime) -> None:
        super()._revive(job, now)
        for held in self._jobs.find(Where(ids=(job.id,)), {State.HELD}, 1):
            self._jobs.put(replace(held, state=State.QUEUED))


@pytest.mark.parametrize(
    "wrong",
    [
        ChargesThoseWhoMustWait,
        LosesTheSlotsOfDeadWorkers,
        ForgetsWhatHandlersOrder,
        CountsSnoozesAsFailures,
        TrustsLostWorkers,
        ForgivesTheCrashesOfStoppedJobs,
        ComesBackWithoutItsKey,
        AddsEndedJobsAgain,
        KeepsTheKeysOfEndedJobs,
        DebouncesForEver,
        RunsReplacedJobsAtTheirOldTime,
        LetsGoOneChildTooEarly,
        RunsParentsOfFailedChildren,
        CountsRetriedChildrenTwice,
        AddsOrphans,
        ForgetsChildrenBeforeTheirParentRuns,
        RunsRetriedParentsAtOnce,
    ],
)
async def test_a_store_that_is_wrong_in_one_way_fails(wrong: type[MemoryStore]) -> None:
    with pytest.raises(AssertionError):
        await asyncio.to_thread(compare, wrong(), SAME_EVERY_TIME)
