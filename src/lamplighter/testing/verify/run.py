"""A run as named steps: open a place, work under faults, finish what is left, wait on, look, judge."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.model import QueueStats
from lamplighter.store.base import Store
from lamplighter.store.open import open_store
from lamplighter.testing.verify import snapshot
from lamplighter.testing.verify.crew import Crew, Member, crew
from lamplighter.testing.verify.faults import Arena, Kind, chosen, left_out
from lamplighter.testing.verify.history import Found, History
from lamplighter.testing.verify.jobs import CRON_QUEUE, Jobs, Recorder, add_until_answered, keys_of_groups, opened
from lamplighter.testing.verify.lines import Journal, read
from lamplighter.testing.verify.orders import Orders, Role
from lamplighter.testing.verify.places import Place, open_place
from lamplighter.testing.verify.plan import STUCK_AFTER, Plan
from lamplighter.testing.verify.report import Report, report
from lamplighter.testing.verify.tasks import blocking

LOOK = 0.25  # seconds between looks at how far it is
CLOSING = 60.0  # seconds that the last worker may take
JUST_A_MOMENT = 2.0  # seconds until a store that was cut off is asked again

Say = Callable[[str], None]
Step = Callable[[str, int, int], None]  # what is done now, how many jobs have ended, and of how many


class Run:
    """One run of a plan in a place."""

    def __init__(self, plan: Plan, place: Place, folder: Path, step: Step) -> None:
        self.plan = plan
        self.place = place
        self.folder = folder
        self.kinds = chosen(plan.faults, place)
        self._step = step
        self._dice = random.Random(f"{plan.seed} faults")
        self._begins = 0.0
        self._blocks = 0

    async def history(self) -> History:
        """Do all of it."""
        async with self._store() as store, crew(self._orders, self._dice) as members:
            with Journal(self.folder, "run") as journal:
                arena = self._arena(store, members, journal)
                await self._work_under_faults(arena, store)
            await self._until_done(store)
            await self._wait_on(store)
            await members.close()
            await self._close(store)
            found = await self._look(store, members)
        leftovers = [*found.leftovers, *await self.place.leftovers()]
        return History(
            seed=self.plan.seed,
            jobs=self.plan.jobs,
            lease=self.plan.lease,
            lines=read(self.folder),
            faults=arena.faults,
            found=msgspec.structs.replace(found, leftovers=leftovers),
        )

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[Store]:
        """The run's own way to the store, past every fault but those of the server."""
        async with open_store(self.place.direct) as store:
            yield store

    def _arena(self, store: Store, members: Crew, journal: Journal) -> Arena:
        jobs = Jobs(store, Recorder(journal, {}, self.plan.seed, self.plan.lease))

        async def add_blocking() -> None:
            this = blocking(self.plan.jobs + self._blocks, self.plan.lease)
            self._blocks += 1
            async with opened(jobs.app):
                await add_until_answered(jobs.app, journal, this.number, 0, jobs.draft(this))

        return Arena(self.place, members, self._dice, lease=self.plan.lease, add_blocking=add_blocking)

    def _orders(self, role: Role, name: str, share: int) -> Orders:
        plan = self.plan
        return Orders(
            role=role,
            name=name,
            url=self.place.url,
            folder=str(self.folder),
            seed=plan.seed,
            lease=plan.lease,
            jobs=plan.jobs,
            share=share,
            of=plan.enqueuers,
            begins=self._begins,
            lasts=plan.lasts(len(self.kinds)),
            crons=role == "worker",
            transactions=self.place.transactions,
            wrap=plan.wrap,
        )

    async def _work_under_faults(self, arena: Arena, store: Store) -> None:
        workers = [await arena.crew.start("worker") for _ in range(self.plan.workers)]
        await asyncio.gather(*(worker.ready() for worker in workers))
        self._begins = time.monotonic()
        enqueuers = [await arena.crew.start("enqueuer", share) for share in range(self.plan.enqueuers)]
        await asyncio.gather(*(enqueuer.ready() for enqueuer in enqueuers))
        telling = asyncio.create_task(self._tell(store, "faults"))
        try:
            async with asyncio.timeout(self.plan.patience(len(self.kinds))):
                await asyncio.gather(arena.crew.enqueued(), self._inject(arena))
        except TimeoutError as error:
            raise StoreUnavailable("the store did not take the jobs of the run in time: see that it is up.") from error
        finally:
            telling.cancel()

    async def _inject(self, arena: Arena) -> None:
        """One fault after another, each kind in its turn; those of one lane wait for each other."""
        lanes = {"workers": asyncio.Lock(), "store": asyncio.Lock()}
        began = time.monotonic()
        faults: list[asyncio.Task[None]] = []
        try:
            for number, kind in enumerate(self._sequence()):
                moment = began + (number + 0.5) * self.plan.every
                await asyncio.sleep(max(0.0, moment - time.monotonic()))
                faults.append(asyncio.create_task(_in_lane(kind, lanes[kind.lane], arena)))
            await asyncio.gather(*faults)
        finally:
            for fault in faults:
                fault.cancel()

    def _sequence(self) -> list[Kind]:
        rounds = self.plan.rounds(len(self.kinds)) if self.kinds else 0
        sequence: list[Kind] = []
        while len(sequence) < rounds:
            sequence += self._dice.sample(self.kinds, len(self.kinds))
        return sequence[:rounds]

    async def _until_done(self, store: Store) -> None:
        """Until no job is left to be done, or nothing moves any more."""
        before, moved = -1, time.monotonic()
        while True:
            stats = await _stats(store)
            ended, live = _ended(stats), _live(stats)
            self._step("finishing", ended, self.plan.jobs)
            if not live:
                return
            if ended != before:
                before, moved = ended, time.monotonic()
            if time.monotonic() - moved > STUCK_AFTER:
                return
            await asyncio.sleep(LOOK)

    async def _wait_on(self, store: Store) -> None:
        """Past every interval of the workers: a run that stops when the count is right hides late damage."""
        over = time.monotonic() + self.plan.quiet
        while time.monotonic() < over:
            self._step("waiting on for late damage", _ended(await _stats(store)), self.plan.jobs)
            await asyncio.sleep(LOOK)

    async def _close(self, store: Store) -> None:
        """One more worker does what is left: slots of the schedule that came while the others ended."""
        self._step("closing", self.plan.jobs, self.plan.jobs)
        orders = self._orders("worker", "last", 0)
        member = await Member.start(msgspec.structs.replace(orders, crons=False, until_idle=True))
        try:
            await asyncio.wait_for(member.ended(), CLOSING)
        except TimeoutError:  # what is left then counts as stuck
            await member.end()
        await snapshot.prune(store)

    async def _look(self, store: Store, members: Crew) -> Found:
        views = await snapshot.all_jobs(store)
        leftovers = await snapshot.leftovers(store, views)
        keys = {line.detail for line in read(self.folder) if line.what == "added" and line.detail}
        free = await snapshot.free_keys(store, {*keys, *keys_of_groups()})
        rescues = await snapshot.rescues(store, views)
        return Found(views=views, keys=free, rescues=rescues, leftovers=leftovers, ended_alone=members.ended_alone)

    async def _tell(self, store: Store, what: str) -> None:
        while True:
            self._step(what, _ended(await _stats(store)), self.plan.jobs)
            await asyncio.sleep(LOOK)


async def _in_lane(kind: Kind, lane: asyncio.Lock, arena: Arena) -> None:
    async with lane:
        await kind.act(arena)


async def _stats(store: Store) -> list[QueueStats]:
    """The counts, once the store can tell them."""
    while True:
        try:
            return await store.stats()
        except StoreUnavailable:
            await asyncio.sleep(LOOK)


def _ended(stats: list[QueueStats]) -> int:
    return sum(one.done + one.failed + one.cancelled for one in stats if one.queue != CRON_QUEUE)


def _live(stats: list[QueueStats]) -> int:
    return sum(one.held + one.scheduled + one.queued + one.running for one in stats if one.queue != CRON_QUEUE)


async def verify(plan: Plan, *, say: Say, step: Step = lambda *_: None) -> Report:
    """Run it, and tell what came of it. `say` gets a line about what will be done and where, before anything is.

    Raises:
        ConfigError: the plan cannot be carried out.
        StoreUnavailable: the store cannot be reached at all.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lamplighter-verify-")))
        place = await stack.enter_async_context(open_place(plan.store, folder, appendfsync=plan.appendfsync))
        run = Run(plan, place, folder, step)
        say(_announcement(run))
        history = await run.history()
        made = report(plan, place, history, left_out(place) if plan.faults == "all" else {})
        if made.broken:
            made.record = await asyncio.to_thread(_keep, folder, history)
        return made


def _keep(folder: Path, history: History) -> str:
    """What the processes wrote, and the faults: whoever looks for the cause needs it."""
    kept = folder.with_name(f"{folder.name}-record")
    kept.mkdir(mode=0o700)
    kept.joinpath("faults.json").write_bytes(msgspec.json.format(msgspec.json.encode(history.faults)))
    for path in (*folder.glob("*.lines"), *folder.glob("*.log")):
        shutil.copy(path, kept)
    return str(kept)


def _announcement(run: Run) -> str:
    plan = run.plan
    names = ", ".join(kind.name for kind in run.kinds) or "none"
    count = run.plan.rounds(len(run.kinds)) if run.kinds else 0
    return (
        f"{plan.jobs:,} jobs, {plan.workers} workers, {count} faults ({names}) from seed {plan.seed}, {run.place.says}."
    )
