"""Why a job does not run: each thing that can be in its way, and what is said about it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.app.presence import LEASE, worker
from tests.engine.waits import until, until_record

from lamplighter import App, Blocker, ConfigError, Ctx, Handle, Job, Priority, Snooze, State, fixed, never
from lamplighter.app.why import BLOCKERS, blocker, sight
from lamplighter.core.clock import to_us
from lamplighter.core.config import Settings
from lamplighter.core.ids import new_id
from lamplighter.core.model import NewJob, Record, Where
from lamplighter.engine.lease import KIND
from lamplighter.testing import FakeClock

C = Ctx[None]
Mail = Job[None, [], None]
SHORT = timedelta(milliseconds=150)


@pytest.fixture
def mail(timed: App[None]) -> Mail:
    @timed.job("mail", queue="mail", retry=fixed(60, attempts=3))
    async def mail(ctx: C) -> None: ...

    return mail


async def only(handle: Handle[Any]) -> Any:
    """The one thing in its way."""
    [found] = await handle.why()
    return found


def kinds(found: list[Blocker]) -> list[str]:
    return [one.kind for one in found]


async def claim(app: App[None], name: str = "w-1") -> None:
    assert len(await app.store.claim([], 1, worker=name, lease=LEASE, now=app.clock())) == 1


async def test_nothing_is_in_the_way_of_a_job_that_the_next_free_slot_takes(timed: App[None], mail: Mail) -> None:
    await worker(timed)
    assert await (await mail.enqueue()).why() == []


async def test_without_any_worker_one_is_to_be_started(timed: App[None], mail: Mail) -> None:
    found = await only(await mail.enqueue())
    assert isinstance(found, blocker.NoWorker)
    assert (found.kind, found.queue, found.silent_for) == ("no_worker", "mail", None)
    assert found.says == "no worker is alive: start one with `lamplighter work MODULE:APP`."


@pytest.mark.parametrize(("silent", "rough"), [(40, "40s"), (7200, "2h")])
async def test_a_worker_that_was_killed_is_told_of_with_how_long_it_has_been_silent(
    timed: App[None], mail: Mail, silent: float, rough: str
) -> None:
    await worker(timed, silent=silent)
    found = await only(await mail.enqueue())
    assert (found.kind, found.silent_for) == ("no_worker", silent)
    assert f"the last one has been silent for {rough}" in found.says


async def test_workers_of_other_queues_are_of_no_use(timed: App[None], mail: Mail) -> None:
    await worker(timed, "w-1", queues=["reports", "tokens"])
    await worker(timed, "w-2", queues=["tokens"])
    await worker(timed, "w-3", queues=["mail"], silent=60)
    found = await only(await mail.enqueue())
    assert isinstance(found, blocker.NotServed)
    assert (found.workers, found.queues, found.silent_for) == (2, ("reports", "tokens"), 60)
    assert "no worker serves its queue mail, only reports, tokens" in found.says
    assert "`lamplighter work MODULE:APP --queue mail`" in found.says


async def test_workers_that_are_stopping_take_nothing_more(timed: App[None], mail: Mail) -> None:
    await worker(timed, stopping=True)
    handle = await mail.enqueue()
    found = await only(handle)
    assert (found.kind, found.workers) == ("stopping", ("w-1",))
    await worker(timed, "w-2")
    assert await handle.why() == []


async def test_a_worker_that_beats_but_does_not_claim_is_alive_but_deaf(timed: App[None], mail: Mail) -> None:
    await worker(timed, last_claim=240)
    handle = await mail.enqueue()
    found = await only(handle)
    assert (found.kind, found.workers, found.deaf_for) == ("deaf", ("w-1",), 240)
    assert found.says.startswith("w-1 beats and has room, but has not asked for jobs for 4m: ")
    await worker(timed, "w-2")
    assert await handle.why() == []  # another hears


async def test_a_worker_that_never_claimed_is_deaf_once_that_has_taken_long(timed: App[None], mail: Mail) -> None:
    await worker(timed, last_claim=None)
    found = await only(await mail.enqueue())
    assert (found.kind, found.deaf_for) == ("deaf", 3600)


async def test_a_worker_that_is_full_is_not_deaf_but_busy(timed: App[None], mail: Mail) -> None:
    await worker(timed, "w-1", running=10, last_claim=240)
    await worker(timed, "w-2", running=10)
    handle = await mail.enqueue()
    found = await only(handle)
    assert (found.kind, found.workers, found.running, found.concurrency) == ("busy", 2, 20, 20)
    await worker(timed, "w-3", last_claim=240)
    assert kinds(await handle.why()) == ["deaf", "busy"]


async def test_a_record_of_another_version_does_not_get_in_the_way(timed: App[None], mail: Mail) -> None:
    await timed.store.put(Record(kind=KIND, name="w-0", value='{"of": "another version"}'))
    assert kinds(await (await mail.enqueue()).why()) == ["no_worker"]


async def test_a_paused_queue_is_to_be_resumed(timed: App[None], mail: Mail) -> None:
    await worker(timed)
    handle = await mail.enqueue()
    await timed.pause("mail")
    found = await only(handle)
    assert (found.kind, found.queue, found.queued) == ("paused", "mail", 1)
    assert found.says == "its queue mail is paused: `lamplighter queues resume mail` lets it go on."
    await timed.resume("mail")
    assert await handle.why() == []


async def test_a_command_that_is_told_can_be_pasted_whatever_the_queue_is_called(timed: App[None], mail: Mail) -> None:
    handle = await mail.using(queue="the café's").enqueue()
    await timed.pause("the café's")
    await worker(timed, queues=["mail"])
    resume, start = [one.says for one in await handle.why()]
    assert """`lamplighter queues resume 'the café'"'"'s'`""" in resume
    assert """ --queue 'the café'"'"'s'`""" in start


async def test_a_job_in_line_is_told_how_many_of_its_queue_go_first(timed: App[None], mail: Mail) -> None:
    await worker(timed)
    low = await mail.using(priority=Priority.LOW).enqueue()
    first = await mail.enqueue()
    second = await mail.enqueue()
    await mail.using(queue="reports").enqueue()
    await mail.using(delay=60).enqueue()
    assert await first.why() == []
    found = await only(second)
    assert (found.kind, found.queue, found.ahead, found.exact) == ("in_line", "mail", 1, True)
    assert found.says.startswith("1 job of its queue mail may go first: ")
    assert (await only(low)).ahead == 2


@pytest.mark.parametrize("bound", ["MOST_IN_LINE", "MOST_LIVE"])
async def test_in_a_long_line_nobody_is_counted_one_by_one(
    timed: App[None], mail: Mail, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(sight, bound, 2)
    await worker(timed)
    *_, last = await timed.enqueue(mail.draft() for _ in range(4))
    found = await only(last)
    assert (found.ahead, found.exact) == (3, False)
    assert found.says.startswith("up to 3 jobs of its queue mail may go first: ")


async def test_a_delay_is_told_with_what_is_left_of_it(timed: App[None], mail: Mail, clock: FakeClock) -> None:
    await worker(timed)
    handle = await mail.using(delay=3600).enqueue()
    due = clock() + timedelta(hours=1)
    clock.advance(15)
    found = await only(handle)
    assert isinstance(found, blocker.Scheduled)
    assert (found.run_at, found.left, found.because, found.attempt, found.failures) == (due, 3585, "added", 1, 0)
    assert found.says == f"it is to begin in 59m: wait, or `lamplighter jobs retry {handle.id}` begins it now."


async def failing(app: App[None], error: Exception, **options: Any) -> Handle[None]:
    """A job that has run once, and ended that way."""

    @app.job("failing", **options)
    async def failing(ctx: C) -> None:
        raise error

    handle = await failing.enqueue()
    await app.work(until_idle=True)
    await worker(app)
    return handle


async def test_a_retry_is_told_with_its_last_error_and_the_attempt_it_will_be(timed: App[None]) -> None:
    handle = await failing(timed, ValueError("no oil.\nNone at all."), retry=fixed(60, attempts=3))
    found = await only(handle)
    assert (found.kind, found.because, found.failures, found.attempt, found.left) == ("scheduled", "failure", 1, 2, 60)
    assert found.error == "ValueError: no oil"
    assert found.says.startswith("it has failed once, at last with ValueError: no oil, and attempt 2 begins in 60s: ")


async def test_a_snooze_is_told_from_a_retry(timed: App[None]) -> None:
    handle = await failing(timed, Snooze(timedelta(minutes=5), "the lamps are still lit"))
    found = await only(handle)
    assert (found.kind, found.because, found.attempt, found.error) == ("scheduled", "snooze", 1, None)
    assert found.says.startswith("it has put itself off, and attempt 1 begins in 5m: ")


async def test_a_retry_that_was_moved_from_another_store_is_one_without_its_error(timed: App[None]) -> None:
    await worker(timed)
    now = timed.clock()
    job = NewJob(id=new_id(0), name="mail", queue="mail", run_at=now + timedelta(seconds=5), failures=2, crashes=1)
    await timed.store.add([job], now=now)
    [_, found] = await timed.why(job.id)
    assert isinstance(found, blocker.Scheduled)
    assert (found.because, found.failures, found.attempt, found.error) == ("failure", 2, 4, None)
    assert found.says.startswith("it has failed 2 times, and attempt 4 begins in 5s: ")


async def test_what_is_due_is_queued_by_the_first_worker_that_looks(
    timed: App[None], mail: Mail, clock: FakeClock
) -> None:
    handle = await mail.using(delay=60).enqueue()
    clock.advance(240)
    [nobody, found] = await handle.why()
    assert nobody.kind == "no_worker"
    assert isinstance(found, blocker.Overdue)
    assert (found.run_at, found.late) == (clock() - timedelta(minutes=3), 180)
    assert found.says.startswith("it has been due for 3m, and is not queued yet: the first worker that looks ")
    await worker(timed)
    assert "see their logs for what keeps them" in (await only(handle)).says


async def stray(app: App[None], clock: FakeClock) -> Handle[None]:
    """A job that only another app knows."""
    other: App[None] = App(app.store, settings=app.settings, clock=clock)

    @other.job("elsewhere")
    async def elsewhere(ctx: C) -> None: ...

    async with other:
        return await elsewhere.enqueue()


async def test_a_job_that_workers_do_not_know_is_told_from_one_that_failed(timed: App[None], clock: FakeClock) -> None:
    handle = await stray(timed, clock)
    await timed.work(until_idle=True)
    await worker(timed)
    found = await only(handle)
    assert isinstance(found, blocker.UnknownName)
    assert (found.name, found.again_at) == ("elsewhere", clock() + timedelta(seconds=30))
    assert found.says.startswith("the worker that took it has no job 'elsewhere': ")
    assert found.says.endswith("It is tried again in 30s.")


async def test_an_app_that_is_asked_by_id_says_that_it_has_no_such_job(timed: App[None], clock: FakeClock) -> None:
    handle = await stray(timed, clock)
    await worker(timed)
    assert await handle.why() == []
    [found] = await timed.why(handle.id)
    assert found.says.startswith("this app has no job 'elsewhere': register it, ")


async def test_a_job_that_runs_is_told_with_its_worker_lease_and_progress(
    timed: App[None], mail: Mail, clock: FakeClock
) -> None:
    handle = await mail.enqueue()
    await claim(timed)
    begun = clock()
    clock.advance(20)
    await worker(timed)
    found = await only(handle)
    assert isinstance(found, blocker.Running)
    assert (found.worker, found.started_at, found.lease_left, found.stopping) == ("w-1", begun, 10, False)
    assert found.says.startswith("it has been running for 20s on worker w-1: wait, ")
    await handle.cancel()
    found = await only(handle)
    assert (found.kind, found.stopping) == ("running", True)
    assert found.says.endswith("it was asked to stop, so wait until it has.")


async def test_a_job_of_a_worker_that_was_killed_comes_back_with_its_lease(
    timed: App[None], mail: Mail, clock: FakeClock
) -> None:
    handle = await mail.enqueue()
    await claim(timed, "killed")
    found = await only(handle)
    assert isinstance(found, blocker.Abandoned)
    assert (found.worker, found.lease_left, found.workers) == ("killed", 30, 0)
    assert found.says.endswith("its lease is over in 30s: start a worker, which rescues it then.")
    clock.advance(90)
    await worker(timed)
    found = await only(handle)
    assert (found.kind, found.lease_left, found.workers) == ("abandoned", -60, 1)
    assert "its lease has been over for 60s: another worker rescues it" in found.says


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.CANCELLED], ids=str)
async def test_a_job_that_has_ended_is_told_with_why_and_when_it_is_forgotten(
    timed: App[None], clock: FakeClock, state: State
) -> None:
    @timed.job(keep_done=timedelta(hours=4), keep_failed=timedelta(hours=4), retry=never)
    async def end(ctx: C) -> None:
        if state is State.FAILED:
            raise ValueError("no oil")

    handle = await end.enqueue()
    if state is State.CANCELLED:
        await handle.cancel()
    await timed.work(until_idle=True)
    clock.advance(3600)
    found = await only(handle)
    assert isinstance(found, blocker.Ended)
    assert (found.state, found.ended_at) == (state, clock() - timedelta(hours=1))
    assert found.keep_until == clock() + timedelta(hours=3)
    how = {State.DONE: "was done", State.FAILED: "failed", State.CANCELLED: "was cancelled"}[state]
    reason = {State.DONE: "", State.FAILED: " (no oil)", State.CANCELLED: ""}[state]
    again = f"`lamplighter jobs retry {handle.id}` runs it again."
    assert found.says == f"it {how} 60m ago{reason}, and is kept for 3h more: {again}"
    clock.advance(timedelta(hours=3))
    assert "and may be forgotten at any moment: " in (await only(handle)).says


def made(moment: datetime) -> str:
    """An id of that moment; those of a process never go back, and its tests have clocks of their own."""
    digits = f"{to_us(moment) // 1000:012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


async def test_a_job_that_is_not_there_may_not_be_committed_yet(timed: App[None], mail: Mail, clock: FakeClock) -> None:
    _, [handle] = timed.prepare([mail.draft()])
    assert (await only(handle)).says.startswith(f"there is no job {handle.id}: commit the transaction that adds it, ")
    [found] = await timed.why(made(clock() - timedelta(minutes=59)))
    assert isinstance(found, blocker.NotThere)
    assert found.made_at == clock() - timedelta(minutes=59)
    assert ": commit the transaction that adds it, " in found.says


async def test_a_job_that_is_forgotten_is_told_by_the_age_of_its_id(timed: App[None], clock: FakeClock) -> None:
    [found] = await timed.why(made(clock() - timedelta(days=9)))
    assert "its id is 9d old, so it may have ended and be forgotten: " in found.says


async def test_a_job_that_is_not_kept_is_not_there(timed: App[None]) -> None:
    @timed.job(keep_done=timedelta())
    async def light(ctx: C) -> None: ...

    handle = await light.enqueue()
    await timed.work(until_idle=True)
    assert (await only(handle)).kind == "not_there"


async def test_an_id_that_is_none_of_ours_is_to_be_corrected(timed: App[None]) -> None:
    [found] = await timed.why("nobody")
    assert (found.kind, found.says) == (
        "not_there",
        "there is no job nobody: correct the id; `lamplighter jobs list` shows those there are.",
    )


async def test_a_job_that_was_not_added_is_told_of_who_holds_its_key(timed: App[None], mail: Mail) -> None:
    await worker(timed)
    key = mail.using(unique="mail:7")
    holder, refused = await key.using(delay=60).enqueue(), await key.enqueue()
    assert kinds(await holder.why()) == ["scheduled"]
    [held, then] = await refused.why()
    assert isinstance(held, blocker.KeyHeld)
    assert (held.holder, held.key, held.until) == (holder.id, "mail:7", None)
    assert held.says.startswith(f"it was not added: job {holder.id} holds its unique key mail:7. ")
    assert then.kind == "scheduled"


async def test_a_key_that_is_held_for_a_period_is_told_with_its_end(
    timed: App[None], mail: Mail, clock: FakeClock
) -> None:
    key = mail.using(unique="mail:7", unique_for=timedelta(hours=1))
    await key.enqueue()
    await timed.work(until_idle=True)
    [held, then] = await (await key.enqueue()).why()
    assert isinstance(held, blocker.KeyHeld)
    assert held.until == clock() + timedelta(hours=1)
    assert "holds its unique key mail:7, until 2030-01-01 01:00:00. " in held.says
    assert then.kind == "ended"


async def test_all_that_is_in_the_way_is_told_and_what_needs_a_hand_comes_first(timed: App[None], mail: Mail) -> None:
    handle = await mail.using(delay=60).enqueue()
    await timed.pause("mail")
    assert kinds(await handle.why()) == ["paused", "no_worker", "scheduled"]


async def test_asking_costs_few_calls_however_many_jobs_there_are(timed: App[None], mail: Mail) -> None:
    *_, last = await timed.enqueue(mail.draft() for _ in range(sight.MOST_IN_LINE + 1))
    calls = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(timed.store, name)

    found = await sight.look(Counting(), last.id, now=timed.clock())
    assert found.place == (sight.MOST_IN_LINE, False, sight.MOST_IN_LINE, 0)
    assert sorted(calls) == ["failures", "page", "records", "shares", "stats"]


async def test_a_worker_tells_of_itself_what_is_needed(app: App[None]) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.job()
    async def wait(ctx: C) -> None:
        ctx.progress(1, of=2)
        begun.set()
        await go_on.wait()

    async with app.worker(concurrency=1, lease=SHORT * 20):
        first = await wait.enqueue()
        await begun.wait()
        second = await wait.enqueue()
        await until_record(app, KIND, '"running":1')
        await until(first, lambda view: view.progress is not None)
        assert kinds(await second.why()) == ["busy"]
        found = await only(first)
        assert isinstance(found, blocker.Running)
        assert found.progress is not None
        assert '"done":1' in found.progress
        go_on.set()
        await second.result(30)
    assert kinds(await second.why()) == ["ended"]
    assert await app.store.page(Where(states=(State.QUEUED,)), limit=1) == []


def test_every_kind_of_blocker_has_a_name_of_its_own_and_is_looked_for() -> None:
    found = [kind for kind in Blocker.__subclasses__() if kind.__module__ == blocker.__name__]
    named = {msgspec.structs.fields(kind)[0].default for kind in found}
    elsewhere = {"key_held"}  # of jobs that were not added
    elsewhere |= {"skipped", "not_fired", "next_slot", "cron_paused"}  # of schedules
    assert len(named) == len(found) == len(BLOCKERS) + len(elsewhere & named)
    assert all(msgspec.structs.fields(kind)[0].name == "kind" for kind in found)


def test_a_blocker_is_plain_data_for_programs() -> None:
    found = blocker.Paused(queue="mail", queued=3, says="it is paused.")
    assert msgspec.to_builtins(found) == {"kind": "paused", "says": "it is paused.", "queue": "mail", "queued": 3}


async def test_an_app_that_is_not_open_says_so() -> None:
    with pytest.raises(ConfigError, match="the app is not open"):
        await App("memory://", settings=Settings()).why("nobody")
