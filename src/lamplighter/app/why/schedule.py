"""Why a schedule makes no job: its slot is yet to come, nobody fires it, or a job of it is still there."""

from __future__ import annotations

from datetime import datetime, timedelta

from lamplighter.app.why import why
from lamplighter.app.why.blocker import Blocker, CronPaused, NextSlot, NotFired, Skipped
from lamplighter.app.why.queue import pause_of
from lamplighter.app.why.sight import workers_seen
from lamplighter.app.why.telling import rough
from lamplighter.core.clock import from_us, maybe_from_us
from lamplighter.engine.pause import pauses
from lamplighter.engine.tick import KIND, LONGEST_NAP, Told, read_told
from lamplighter.store.base import Store

FIRED_WITHIN = timedelta(seconds=LONGEST_NAP + 5)  # workers look at their schedules at least so often


async def find_schedule(store: Store, name: str, *, now: datetime) -> Told | None:
    """What the store knows of a schedule; None if no worker has had one of that name."""
    records = await store.records(KIND, now=now)
    return next((told for record in records if record.name == name and (told := read_told(record))), None)


async def why_schedule(store: Store, name: str, told: Told, *, now: datetime) -> list[Blocker]:
    """All that keeps a schedule from making a job now, and its jobs from running."""
    held = [_skipped(told, told.held_by), *await why(store, told.held_by, now=now)] if told.held_by else []
    paused = [pause_of(queue) for queue in await store.stats() if queue.queue == told.queue and queue.paused]
    if (pause := (await pauses(store, now=now)).get(name)) is not None and pause.until is None:
        return [*held, *paused, _paused(from_us(pause.since))]
    late = now - from_us(told.next)
    if late <= FIRED_WITHIN:
        return [*held, *paused, _next_slot(told, -late)]
    return [*held, *paused, await _not_fired(store, told, late, now)]


def _skipped(told: Told, holder: str) -> Skipped:
    slot = maybe_from_us(told.fired)
    when = f" of {slot:%Y-%m-%d %H:%M:%S}" if slot else ""
    return Skipped(
        slot=slot,
        holder=holder,
        says=f"its slot{when} became no job, for job {holder} had the unique key of its jobs: see what kept that one.",
    )


def _paused(since: datetime) -> CronPaused:
    when = f"{since:%Y-%m-%d %H:%M:%S}"
    return CronPaused(since=since, says=f"it was paused at {when} UTC: `lamplighter crons resume` lets it go on.")


async def _not_fired(store: Store, told: Told, late: timedelta, now: datetime) -> NotFired:
    workers = sum(worker.is_alive(now) for worker in await workers_seen(store, now=now))
    hint = "start a worker whose app has it" if workers else "no worker is alive, so start one"
    return NotFired(
        slot=from_us(told.next),
        late=late.total_seconds(),
        workers=workers,
        says=f"it should have fired {rough(late.total_seconds())} ago, and no worker did it: {hint}.",
    )


def _next_slot(told: Told, left: timedelta) -> NextSlot:
    seconds = max(0.0, left.total_seconds())
    return NextSlot(
        slot=from_us(told.next),
        left=seconds,
        last_at=maybe_from_us(told.fired),
        says=f"its next slot ({told.schedule}) comes in {rough(seconds)}: wait for it.",
    )
