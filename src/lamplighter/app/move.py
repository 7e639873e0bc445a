"""Moves what waits in one store to another, with workers on both sides, however often it is killed.

Each step of a batch is one call, which its store does whole or not at all:

1. a marker, a job that never comes due, is added to the source;
2. the batch is noted in the target;
3. the source gives up the marker and those of the jobs that still wait, and says which;
4. the target gets exactly those, and the marker;
5. the note is dropped, and then the marker.

Where the marker is tells whoever finds a note what became of its batch: in the source, nothing was taken; in the
target, all is there; in neither, what is gone from the source was taken, and is added now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from msgspec import Struct, field

from lamplighter.app.parcel import KIND, QUEUE, Note, batches, note_of, read_note, that_may_lose_their_keys, without_key
from lamplighter.core import flow_control
from lamplighter.core.clock import Clock, to_us, utcnow
from lamplighter.core.errors import ConfigError
from lamplighter.core.ids import new_id
from lamplighter.core.model import JobView, NewJob, QueueStats, Record, State, Where
from lamplighter.engine import pause, tick
from lamplighter.store.base import Store

AT_ONCE = 250  # jobs in a batch, so that no other writer waits long
MOST_TOLD = 1000  # duplicates told one by one
LOOK = 0.25  # seconds between looks at what still runs
WAITING = (State.QUEUED, State.SCHEDULED)


class Duplicate(Struct, frozen=True):
    """A job that the target does not take, for another there holds its unique key."""

    id: str
    held_by: str


class Moved(Struct):
    """What a move came to. `waiting`, `running` and `held` were left at the source.

    Jobs that have children, or are some, stay: workers there have to run them.
    """

    moved: int = 0
    duplicate: int = 0
    duplicates: list[Duplicate] = field(default_factory=list)
    schedules: list[str] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    waiting: int = 0
    running: int = 0
    held: int = 0


class Mover:
    """One move between two open stores. Run again, it goes on where it was interrupted.

    Args:
        source: gives up its jobs.
        target: gets them.
        told: hears after each batch what was moved so far.
        clock: what time it is.
    """

    def __init__(
        self,
        source: Store,
        target: Store,
        *,
        told: Callable[[Moved], None] = lambda _: None,
        clock: Clock = utcnow,
    ) -> None:
        self._source = source
        self._target = target
        self._told = told
        self._clock = clock
        self._moved = Moved()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End after the batch that is under way."""
        self._stopping.set()

    async def run(self, *, wait: timedelta) -> Moved:
        """Move until nothing waits and nothing runs at the source; wait so long, in all, for what runs.

        Raises:
            ConfigError: both are one store, or a move from a third store to this target has not been finished.
            StoreError: a store failed; run it again.
        """
        await self._refuse_one_store()
        await self._carry_pauses()
        await self._carry_rules(flow_control.LIMIT, flow_control.TENANT, pause.KIND)
        await self._finish_what_is_noted()
        await self._carry_schedules()
        await self._drain(wait)
        await self._carry_rules(flow_control.QUEUE)  # last: a bound must not refuse what is moved
        left = await self._source.stats()
        self._moved.waiting = sum(queue.queued + queue.scheduled for queue in left)
        self._moved.held = sum(queue.held for queue in left)
        self._moved.running = _running(left)
        return self._moved

    async def _drain(self, wait: timedelta) -> None:
        waited = timedelta()
        while not self._stopping.is_set():
            await self._carry_pauses()
            running = _running(await self._source.stats())  # first: what ends while we look may wait again after that
            if await self._carry_waiting() or await self._rescue():
                continue
            if not running or waited >= wait:
                return
            await self._until_stopped(LOOK)
            waited += timedelta(seconds=LOOK)

    async def _carry_waiting(self) -> bool:
        """Move all that wait, the newest first; returns whether there were any."""
        seen, before = False, None
        while views := await self._source.page(Where(states=WAITING), limit=AT_ONCE, before=before):
            before = views[-1].id
            for batch in batches(view for view in views if _is_movable(view)):
                if self._stopping.is_set():
                    return seen
                await self._carry(batch)
                seen = True
        return seen

    async def _carry(self, batch: list[JobView]) -> None:
        now = self._clock()
        note = note_of(batch, self._source.url, now)
        await self._source.add([note.marker], now=now)
        await self._target.put(note.record())
        which = Where(ids=(*note.ids, note.id), states=WAITING)
        gone = await self._source.cancel(which, limit=len(which.ids), now=now, keep_until=now)
        await self._land(note, set(gone.ended))
        self._told(self._moved)

    async def _land(self, note: Note, taken: set[str]) -> None:
        """Add the jobs that were taken from the source, and with them the marker. A retry is never lost over a key."""
        parcels = [parcel for parcel in note.parcels if parcel.job.id in taken]
        trying, keyless = that_may_lose_their_keys(parcels)
        keyless += [without_key(job) for job, _ in await self._add(trying)]
        others = [parcel.job for parcel in parcels if not (parcel.came_back and parcel.job.unique)]
        refused = await self._add([*others, *keyless, note.marker])
        self._count(len(parcels) - len(refused), [Duplicate(job.id, holder) for job, holder in refused])
        await self._target.drop(KIND, note.id)
        await self._forget_markers(self._target, note.id)

    async def _add(self, jobs: list[NewJob]) -> list[tuple[NewJob, str]]:
        """Those that were not added, each with who holds its key."""
        added = await self._target.add(jobs, now=self._clock()) if jobs else []
        return [(job, one.id) for job, one in zip(jobs, added, strict=True) if not one.created]

    def _count(self, moved: int, duplicates: list[Duplicate]) -> None:
        self._moved.moved += moved
        self._moved.duplicate += len(duplicates)
        self._moved.duplicates += duplicates[: MOST_TOLD - len(self._moved.duplicates)]

    async def _finish_what_is_noted(self) -> None:
        """What a move that was interrupted left half-way."""
        for record in await self._target.records(KIND, now=self._clock()):
            note = read_note(record)
            self._refuse_another_source(note)
            if await self._is_at(self._target, note) or await self._is_at(self._source, note):
                await self._target.drop(KIND, note.id)
            else:
                still = await self._source.page(Where(ids=note.ids), limit=len(note.ids))
                await self._land(note, set(note.ids) - {view.id for view in still})
        await self._forget_markers(self._source)
        await self._forget_markers(self._target)

    async def _is_at(self, store: Store, note: Note) -> bool:
        return bool(await store.page(Where(ids=(note.id,), states=WAITING), limit=1))

    async def _forget_markers(self, store: Store, *ids: str) -> None:
        """All of them, if none is named."""
        now = self._clock()
        await store.cancel(Where(ids=ids, queues=(QUEUE,)), limit=AT_ONCE, now=now, keep_until=now)

    async def _rescue(self) -> bool:
        """Queue the jobs of workers that vanished, for at the source nobody else may be left to do it."""
        return bool((await self._source.sweep(AT_ONCE, now=self._clock())).rescued)

    async def _carry_pauses(self) -> None:
        """Before the jobs: what an operator stopped must not begin because it is moved."""
        there = {queue.queue for queue in await self._target.stats() if queue.paused}
        for queue in await self._source.stats():
            if queue.paused and queue.queue not in there and queue.queue not in self._moved.paused:
                await self._target.pause(queue.queue, paused=True)
                self._moved.paused.append(queue.queue)

    async def _carry_rules(self, *kinds: str) -> None:
        """What limits allow, weights, bounds and pauses of schedules, where the target has none yet."""
        now = self._clock()
        for kind in kinds:
            there = {record.name for record in await self._target.records(kind, now=now)}
            for record in await self._source.records(kind, now=now):
                if record.name not in there:
                    await self._target.put(record)

    async def _carry_schedules(self) -> None:
        """Up to when the slots of schedules were looked at: the later of what both sides know."""
        now = self._clock()
        there = {record.name: record for record in await self._target.records(tick.KIND, now=now)}
        for record in await self._source.records(tick.KIND, now=now):
            if _knows_more(record, there.get(record.name)):
                await self._target.put(record)
                self._moved.schedules.append(record.name)

    async def _refuse_one_store(self) -> None:
        """By a record that is put on one side and looked for on the other: URLs may differ in how they are written."""
        now = self._clock()
        sign = Record(kind="moving to", name=new_id(to_us(now)), value="{}", expires_at=now + timedelta(minutes=1))
        await self._target.put(sign)
        seen = [record.name for record in await self._source.records(sign.kind, now=now)]
        await self._target.drop(sign.kind, sign.name)
        if sign.name in seen:
            raise ConfigError("both URLs name the same store: name another to move to.")

    def _refuse_another_source(self, note: Note) -> None:
        """Only at the source of a note can be seen what of it was taken."""
        if note.source != self._source.url:
            raise ConfigError(f"a move from {note.source} to this target was interrupted: finish that one first.")

    async def _until_stopped(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _is_movable(view: JobView) -> bool:
    """A family stays together: its counts, and the outcomes that its last job reads, are at the source."""
    return view.queue != QUEUE and view.children is None and view.group is None


def _running(stats: list[QueueStats]) -> int:
    return sum(queue.running for queue in stats)


def _knows_more(here: Record, there: Record | None) -> bool:
    """Whether a schedule was looked at later here than there. One whose text differs there is another by now."""
    if (mine := tick.read_told(here)) is None:
        return False
    theirs = None if there is None else tick.read_told(there)
    return theirs is None or (mine.schedule == theirs.schedule and mine.seen > theirs.seen)
