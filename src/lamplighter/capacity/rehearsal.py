"""A sample of a plan's integrations through the engine itself, on virtual time: real workers on the memory store, real
gates before the providers, the real schedule. Only the providers' answers and the service's tables are missing.

What it shows beside `simulate`: what polling, claiming, snoozing and chance add. A sample's limits are lower in
proportion, so that its lateness is that of the whole; chance weighs more in it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from lamplighter.app import App
from lamplighter.capacity.load import Figures, simulate
from lamplighter.capacity.plan import Crowd, Plan
from lamplighter.core.clock import Clock
from lamplighter.core.config import Settings
from lamplighter.core.ids import counted_anew
from lamplighter.core.model import Priority
from lamplighter.core.secret import Secret
from lamplighter.core.verdict import Snooze
from lamplighter.engine.context import Ctx
from lamplighter.engine.worker import WorkerOptions
from lamplighter.integrations.provider import MOST_AT_ONCE, Provider
from lamplighter.integrations.refreshing.gates import Gates
from lamplighter.integrations.refreshing.outcome import Wait
from lamplighter.integrations.refreshing.schedule import refresh_at
from lamplighter.store.memory import MemoryStore
from lamplighter.testing.clock import NEW_YEAR
from lamplighter.testing.simulation.crew import InTask
from lamplighter.testing.simulation.loop import VirtualLoop

MOST_WORKERS = 4  # each looks around once a second, for hours
LONGEST = timedelta(hours=6)
ROUNDS = 2.2  # of the shortest life: what came together, and what becomes of it
MOST_TURNS = 1_500_000  # of the loop, some 15 s; a rehearsal with more to do ends earlier
FEWEST_SLOTS = 10  # of a worker, so that a share of them is still a whole number
MINUTE = 60.0

Step = Callable[[float, float], None]


class Part(Struct, frozen=True, kw_only=True):
    """One provider's refreshes as the engine ran them, beside what `simulate` says of the same sample. Seconds."""

    provider: str
    integrations: int
    refreshes: int
    expected_refreshes: float
    late_p50: float
    late_p99: float
    latest: float
    expected_p99: int
    expected_latest: int


class Rehearsal(Struct, frozen=True, kw_only=True):
    """What was rehearsed: so many minutes, with so many workers; `snoozes`: how often a job had to come again."""

    minutes: int
    workers: int
    snoozes: int
    parts: tuple[Part, ...]


def rehearse(plan: Plan, *, sample: int, seed: int, step: Step = lambda _done, _all: None) -> Rehearsal:
    """Run so many of a plan's integrations through the engine. The same seed makes the same rehearsal.

    `step` is called with the seconds that are simulated, and how many there will be.
    """
    small = sampled(plan, sample)
    loop = VirtualLoop(random.Random(seed), most_turns=2 * MOST_TURNS)
    with _alone(seed):
        try:
            stage = _Stage(small, loop, seed)
            loop.run_until_complete(stage.play(step))
        finally:
            loop.close()
    minutes = max(1, round(loop.time() / MINUTE))
    expected = simulate(msgspec.structs.replace(small, duration=timedelta(minutes=minutes)))
    parts = tuple(_part(stage.seen[one.provider], one) for one in expected.figures)
    return Rehearsal(minutes=minutes, workers=small.workers, snoozes=stage.snoozes, parts=parts)


def sampled(plan: Plan, sample: int) -> Plan:
    """A plan of so many of its integrations whose limits and slots are lower in proportion.

    There is no tenth of a slot, so where they are few they are kept for longer instead.
    """
    share = min(1.0, sample / plan.integrations)
    workers = min(plan.workers, MOST_WORKERS)
    each = share * plan.workers / workers
    slots = min(plan.concurrency * each, float(MOST_AT_ONCE))
    concurrency = max(round(slots), min(plan.concurrency, FEWEST_SLOTS))
    crowds = [_sampled(crowd, share, each, concurrency / plan.concurrency) for crowd in plan.crowds]
    longest = plan.connected_over + ROUNDS * min(crowd.lifetime for crowd in plan.crowds)
    return msgspec.structs.replace(
        plan,
        crowds=tuple(crowds),
        duration=min(plan.duration, LONGEST, longest),
        workers=workers,
        concurrency=concurrency,
        latency=plan.latency * concurrency / slots,
    )


def _sampled(crowd: Crowd, share: float, each: float, of_slots: float) -> Crowd:
    return msgspec.structs.replace(
        crowd,
        integrations=math.ceil(round(crowd.integrations * share, 6)),
        limit=None if crowd.limit is None else min(crowd.limit * each, float(MOST_AT_ONCE)),
        at_once=max(1, min(MOST_AT_ONCE, round(crowd.at_once * of_slots))),
    )


class _Seen:
    """The refreshes of one provider."""

    def __init__(self) -> None:
        self.late: list[float] = []

    def percentile(self, percent: float) -> float:
        """How late so many of a hundred were at most, in seconds."""
        ordered = sorted(self.late)
        return round(ordered[math.ceil(len(ordered) * percent / 100) - 1], 3) if ordered else 0.0


class _Stage:
    """The workers, their store, and the providers they ask."""

    def __init__(self, plan: Plan, loop: VirtualLoop, seed: int) -> None:
        self.seen = {crowd.slug: _Seen() for crowd in plan.crowds}
        self.snoozes = 0
        self._plan = plan
        self._loop = loop
        self._seed = seed
        self._dice = random.Random(f"{seed} tokens")
        self._store = MemoryStore()
        self._crowds = {crowd.slug: crowd for crowd in plan.crowds}
        self._providers = {crowd.slug: _provider(crowd) for crowd in plan.crowds}
        self._due: dict[tuple[str, int], datetime] = {}

    def now(self) -> datetime:
        """The simulated time."""
        return NEW_YEAR + timedelta(seconds=self._loop.time())

    async def play(self, step: Step) -> None:
        """Until the time is over, or enough was done."""
        apps = [self._app(number) for number in range(self._plan.workers)]
        async with apps[0] as first:
            await first.enqueue(self._first_drafts(first))
        over = asyncio.Event()
        working = [self._loop.spawn(app.name, _work(app, self._plan.concurrency, over)) for app in apps]
        lasts = self._plan.minutes * MINUTE
        while self._loop.time() < lasts and self._loop.turns < MOST_TURNS:
            await asyncio.sleep(MINUTE)
            step(self._loop.time(), lasts)
        over.set()
        await asyncio.gather(*working)

    def _app(self, number: int) -> _App:
        app = _App(f"w{number}", self._store, self.now)
        gates = Gates(self.now, random.Random(f"{self._seed} gates {number}").random)

        @app.job(
            "tokens.refresh",
            queue="tokens",
            priority=Priority.HIGH,
            unique="{provider}:{number}",
            timeout=None,
            keep_done=timedelta(),
        )
        async def refresh(_: Ctx[None], provider: str, number: int) -> None:
            await self._ask(gates, provider, number)
            await refresh.using(run_at=self._due[provider, number]).enqueue(provider, number)

        app.refresh = refresh
        return app

    async def _ask(self, gates: Gates, slug: str, number: int) -> None:
        try:
            permit = await gates.admit(self._providers[slug], f"{slug}:{number}")
        except Wait as wait:
            self.snoozes += 1
            raise Snooze(wait.retry_in, str(wait)) from wait
        with permit:
            began = self.now()
            self.seen[slug].late.append((began - self._due[slug, number]).total_seconds())
            await asyncio.sleep(self._plan.latency.total_seconds())
            permit.succeeded()
        lifetime = self._crowds[slug].lifetime
        self._due[slug, number] = refresh_at(began, began + lifetime, random=self._dice.random)

    def _first_drafts(self, app: _App) -> Iterator[Any]:
        for crowd in self._plan.crowds:
            for number in range(crowd.integrations):
                come = NEW_YEAR + self._plan.connected_over * (number / crowd.integrations)
                due = self._due[crowd.slug, number] = self._first_due(come, crowd.lifetime)
                yield app.refresh.using(run_at=due).draft(crowd.slug, number)

    def _first_due(self, come: datetime, lifetime: timedelta) -> datetime:
        if self._plan.tokens == "unknown":
            return come
        issued = come - lifetime * self._dice.random() if self._plan.tokens == "any-age" else come
        return max(come, refresh_at(issued, issued + lifetime, random=self._dice.random))


class _App(App[None]):
    """An app whose worker has a given name, and no thread."""

    refresh: Any

    def __init__(self, name: str, store: MemoryStore, clock: Clock) -> None:
        super().__init__(store, settings=Settings(store=store.url), clock=clock)
        self.name = name

    def _worker_options(self, *args: Any) -> WorkerOptions:
        options = super()._worker_options(*args)
        return msgspec.structs.replace(options, name=self.name, aside=lambda: InTask(f"{self.name} aside"))


async def _work(app: _App, concurrency: int, over: asyncio.Event) -> None:
    async with app, app.worker(concurrency=concurrency, grace=timedelta()):
        await over.wait()


def _provider(crowd: Crowd) -> Provider:
    return Provider(
        slug=crowd.slug,
        display_name=crowd.slug,
        auth_url="https://simulated.invalid/authorize",
        token_url="https://simulated.invalid/token",  # noqa: S106 - nobody is asked
        client_id="simulated",
        client_secret=Secret("simulated"),
        max_per_second=MOST_AT_ONCE if crowd.limit is None else crowd.limit,
        max_concurrency=MOST_AT_ONCE if crowd.limit is None else crowd.at_once,
    )


def _part(seen: _Seen, expected: Figures) -> Part:
    return Part(
        provider=expected.provider,
        integrations=expected.integrations,
        refreshes=len(seen.late),
        expected_refreshes=expected.refreshes,
        late_p50=seen.percentile(50),
        late_p99=seen.percentile(99),
        latest=seen.percentile(100),
        expected_p99=expected.late_p99,
        expected_latest=expected.latest,
    )


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    """With dice and ids of its own, so that what ran before makes no difference; and without log lines."""
    state, told = random.getstate(), logging.root.manager.disable
    random.seed(f"{seed} engine")
    logging.disable(logging.CRITICAL)
    try:
        with counted_anew():
            yield
    finally:
        random.setstate(state)
        logging.disable(told)
