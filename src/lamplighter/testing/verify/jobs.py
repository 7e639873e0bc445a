"""The app of the run: one job for each kind of task. Each tells the journal when it begins, and its effect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from lamplighter.app import App, Job
from lamplighter.core.clock import Clock
from lamplighter.core.config import Settings
from lamplighter.core.draft import Draft, Options
from lamplighter.core.limit import Breaker, Rate
from lamplighter.core.retry import fixed
from lamplighter.core.verdict import Discard, Retry, Snooze
from lamplighter.engine.context import Ctx
from lamplighter.engine.patience import until_available
from lamplighter.store.base import Store
from lamplighter.testing.verify.lines import Journal, Line, What
from lamplighter.testing.verify.tasks import API, GROUPS, LINKS, PACE, SLOTS, Kind, Task, blocking, task

CRON = "verify.cron"
CRON_QUEUE = "verify-cron"
CRON_EVERY = timedelta(seconds=1)
PREFIX = "verify."
AGAIN = fixed(0.2, attempts=50)  # only what `doomed` raises may ever end as failed
MAX_CRASHES = 1000  # the faults kill whichever worker they meet, so no job is to blame for its worker's death

_ALWAYS_AGAIN: dict[str, Any] = {"retry": AGAIN, "max_crashes": MAX_CRASHES}


class Recorder(NamedTuple):
    """What every handler is given."""

    journal: Journal
    fences: Mapping[str, int]
    seed: int
    lease: float

    def task(self, number: int) -> Task:
        """The task of that number."""
        return task(self.seed, number, self.lease)


C = Ctx[Recorder]
AnyJob = Job[Recorder, [int], None] | Job[Recorder, [int, int], None]


class Jobs:
    """The app and its jobs."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        *,
        clock: Clock | None = None,
        crons: bool = False,
        app: Callable[..., App[Recorder]] = App,
    ) -> None:
        settings = Settings(keep_done_count=1_000_000_000, keep_failed_count=1_000_000_000)
        self.app: App[Recorder] = app(store, deps=recorder, settings=settings, clock=clock)
        _declare_limits(self.app)
        self._chain: Job[Recorder, [int, int], None] = self.app.job("verify.chain", **_ALWAYS_AGAIN)(self._link)
        self._jobs: dict[Kind, Job[Recorder, [int], None]] = {
            kind: self.app.job(f"{PREFIX}{kind}", **_ALWAYS_AGAIN, **_kept(kind))(handler)
            for kind, handler in _HANDLERS.items()
        }
        slot: Job[Recorder, [], None] = self.app.job(CRON, queue=CRON_QUEUE, **_ALWAYS_AGAIN)(_slot)
        if crons:
            self.app.every(CRON_EVERY, slot.draft(), misfire="all")

    def draft(self, of: Task) -> Draft[None]:
        """The job of a task, to be enqueued."""
        options = Options(queue=of.queue, priority=of.priority, tenant=of.tenant)
        if of.limits:
            options["limits"] = of.limits
        if of.key is not None:
            options["unique"] = of.key
        if of.holds:
            options |= {"unique_mode": "period", "unique_for": timedelta(seconds=of.holds)}
        if of.kind == "scheduled":
            options["delay"] = of.delay
        if of.kind == "chain":
            return self._chain.using(**options).draft(of.number, 0)
        return self._jobs[of.kind].using(**options).draft(of.number)

    async def _link(self, ctx: C, number: int, step: int) -> None:
        """One job of a chain: when it has had its effect, its key goes on to its successor."""
        this = ctx.deps.task(number)
        with effect(ctx, number, step):
            await asyncio.sleep(this.takes)
        if step + 1 < LINKS:
            options = Options(queue=this.queue, priority=this.priority, tenant=this.tenant, unique=this.key or "")
            successor = self._chain.using(**options).draft(number, step + 1)
            await add_until_answered(self.app, ctx.deps.journal, number, step + 1, successor)


def _declare_limits(app: App[Recorder]) -> None:
    """Such as keep jobs waiting now and then, and let all of them through in the end."""
    app.limit(SLOTS, running=4)
    app.limit(PACE, rate=Rate(100, per=1, burst=20))
    brief, longest = timedelta(seconds=0.2), timedelta(seconds=1)
    app.limit(API, breaker=Breaker(at_least=5, within=longest, open_for=brief, longest=longest))


@asynccontextmanager
async def opened(app: App[Recorder]) -> AsyncIterator[None]:
    """The app, once it can be opened: a process may start while its server is down."""
    await until_available(app.__aenter__, "open the store")
    try:
        yield
    finally:
        await app.__aexit__()


async def add_until_answered(app: App[Recorder], journal: Journal, number: int, step: int, draft: Draft[None]) -> None:
    """Add one job, however often that takes, and tell the journal what the store answered."""

    async def ask() -> None:
        asked = journal.line("asked", number=number, step=step)
        journal.write(asked)
        [handle] = await app.enqueue([draft])
        key = str(draft.options.get("unique") or "")
        journal.write(answer(journal, asked, (handle.id, handle.created), key))

    await until_available(ask, "add a job")


def answer(journal: Journal, asked: Line, added: tuple[str, bool], key: str | None) -> Line:
    """What the store said to an add."""
    job, created = added
    what: What = "added" if created else "held"
    return journal.line(what, job, number=asked.number, step=asked.step, since=asked.at, detail=key or "")


@contextmanager
def effect(ctx: C, number: int, step: int = 0) -> Iterator[None]:
    """Tell that this attempt begins and, unless it raises, that it had its effect."""
    journal, fence = ctx.deps.journal, ctx.deps.fences.get(ctx.id, 0)
    journal.write(journal.line("begin", ctx.id, fence, number=number, step=step))
    yield
    journal.write(journal.line("end", ctx.id, fence, number=number, step=step))


async def _short(ctx: C, number: int) -> None:
    with effect(ctx, number):
        await asyncio.sleep(ctx.deps.task(number).takes)


def _thread(ctx: C, number: int) -> None:
    with effect(ctx, number):
        time.sleep(ctx.deps.task(number).takes)


async def _retry(ctx: C, number: int) -> None:
    this = ctx.deps.task(number)
    with effect(ctx, number):
        await asyncio.sleep(this.takes)
        if ctx.attempt <= this.fails:
            raise Retry("this attempt fails on purpose", after=timedelta(seconds=0.1 * ctx.attempt))


async def _doomed(ctx: C, number: int) -> None:
    with effect(ctx, number):
        raise Discard("this job fails on purpose")


async def _snooze(ctx: C, number: int) -> None:
    """Not before its moment. That is counted from when it was made, or it would differ from attempt to attempt."""
    with effect(ctx, number):
        early = _made_at(ctx.id) + ctx.deps.task(number).delay - ctx.deps.journal.real()
        if early > 0:
            raise Snooze(timedelta(seconds=min(early, 1.0)))


async def _block(ctx: C, number: int) -> None:
    with effect(ctx, number):
        time.sleep(blocking(number, ctx.deps.lease).takes)  # noqa: ASYNC251 - that is the fault


async def _slot(ctx: C) -> None:
    with effect(ctx, -1):
        await asyncio.sleep(0)


def _made_at(job: str) -> float:
    """When an id was made, seconds since 1970: the first digits of a UUID of version 7 say so."""
    return int(job.replace("-", "")[:12], 16) / 1000


_HANDLERS: dict[Kind, Callable[..., Any]] = {
    "short": _short,
    "thread": _thread,
    "retry": _retry,
    "doomed": _doomed,
    "snooze": _snooze,
    "scheduled": _short,
    "group": _short,
    "period": _short,
    "forgotten": _short,
    "brief": _short,
    "long": _short,
    "block": _block,
}


def _kept(kind: Kind) -> dict[str, Any]:
    """How long such a job is kept once it is done."""
    seconds = {"forgotten": 0, "brief": 1}.get(kind)
    return {} if seconds is None else {"keep_done": timedelta(seconds=seconds)}


def keys_of_groups() -> list[str]:
    """The keys that tasks of the kind `group` want."""
    return [f"group:{n}" for n in range(GROUPS)]
