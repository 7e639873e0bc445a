"""The scenario of `bench/outage`: many integrations, one provider that is down for a while, users who leave."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx2
import msgspec
from bench.outage_ledger import Ledger, Row, p99
from bench.outage_postbox import Postbox, open_postbox
from bench.outage_worker import Told
from sqlalchemy import select

from lamplighter.app import App
from lamplighter.cli.progress import Step
from lamplighter.cli.stage import Stage
from lamplighter.core.clock import to_us, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.secret import Secret
from lamplighter.demo.catalog import PROVIDERS
from lamplighter.demo.client import cause, consent, count_all_requests
from lamplighter.demo.faults import Outage, Revocation
from lamplighter.demo.settle import registered
from lamplighter.demo.world import World, running_world
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.storage.tables import integrations
from lamplighter.integrations.tenants import Tenant

ROOT = Path(__file__).parents[1]
BROKEN = PROVIDERS[-1].slug
REVOKED = 0.05  # of the integrations
CYCLE = 0.45  # of a token's life, at most, from one refresh to the next
SETTLING = 0.4  # of a token's life, over which integrations come: so their refreshes are spread out
STEPS = 40  # of settling
LOOK_EVERY = 0.5  # seconds
OVERLAP = timedelta(seconds=2)  # of looks: a row is seen only once it is committed
DELIVERING = 20.0  # seconds after that in which the last of those that left is to be told of, at most
SLACK = 20  # seconds at the end, for what waited


class Plan(NamedTuple):
    """`lifetime` of tokens and `outage` in seconds; `workers` are processes."""

    integrations: int = 10_000
    lifetime: int = 120
    outage: float = 60
    workers: int = 2

    @property
    def max_per_second(self) -> float:
        """What the operator lets each process ask of each provider: twice what all of them need in calm times."""
        return round(max(2.0, 2 * self.integrations / len(PROVIDERS) / (SETTLING * self.lifetime)), 1)

    @property
    def before(self) -> float:
        """Seconds of calm before the outage: each has been refreshed once."""
        return CYCLE * self.lifetime

    @property
    def after(self) -> float:
        """Seconds after it: each comes due once more, and notices that its user has left."""
        return CYCLE * self.lifetime + SLACK


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the run came to. `p99_lateness` in seconds, at the other providers, before, during and after the outage."""

    refreshes: int
    missed: int
    lapsed: int
    excused: int
    revoked: int
    asked_once: int
    told_once: int
    p99_lateness: tuple[float, float, float]
    turned_away: int
    turned_away_per_second: float
    reuses: int
    started_per_second: tuple[float, float, float]
    snoozed_per_second: tuple[float, float, float]
    cpu_per_second: float  # of all workers


async def play(plan: Plan, stage: Stage, step: Step) -> Figures:
    """Play it on that stage; `step` is told how far it has come."""
    app = App(settings=Settings(store=stage.store, database=stage.database, folder=stage.folder))
    tokens = TokenFamily(app)
    async with (
        running_world(faults=False, token_lifetime=plan.lifetime) as world,
        app,
        httpx2.AsyncClient() as http,
        open_postbox() as postbox,
        _workers(plan.workers, stage) as workers,
    ):
        run = _Run(plan, tokens, world, http=http, postbox=postbox, step=step)
        await run.settle()
        await run.live()
        told = [await _told(worker) for worker in workers]
        return await run.figures(told)


class _Run:
    def __init__(
        self, plan: Plan, tokens: TokenFamily, world: World, *, http: httpx2.AsyncClient, postbox: Postbox, step: Step
    ) -> None:
        self._plan = plan
        self._tokens = tokens
        self._service = tokens.service
        self._world = world
        self._http = http
        self._postbox = postbox
        self._step = step
        self._ledger = Ledger()
        self._looked_until = 0
        self._users = [(f"user-{n}", PROVIDERS[n % len(PROVIDERS)].slug) for n in range(plan.integrations)]
        self._leaving = random.Random(7).sample(range(plan.integrations), round(REVOKED * plan.integrations))
        self._left: list[tuple[str, str]] = []
        self._moments: list[datetime] = []  # when a phase ends and the next begins

    async def settle(self) -> None:
        """Connect all, evenly over a part of a token's life."""
        for provider in PROVIDERS:
            ours = registered(provider, self._world.url)
            paced = msgspec.structs.replace(ours, max_per_second=self._plan.max_per_second)
            await self._service.registrations.register(paced)
        names = sorted({_tenant(n) for n in range(len(self._users))})
        await self._service.tenants.add([Tenant(id=name, name=name, owner_id=f"owner-of-{name}") for name in names])
        for name in sorted({_tenant(n) for n in self._leaving}):
            await self._service.recipients.add(name, "webhook", self._postbox.url)
        size = -(-len(self._users) // STEPS)
        last, pause = "", SETTLING * self._plan.lifetime / STEPS
        for first in range(0, len(self._users), size):
            self._step("connecting", first, len(self._users))
            moment = asyncio.get_running_loop().time() + pause
            last = await self._connect(range(first, min(first + size, len(self._users))), last)
            await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))

    async def _connect(self, numbers: Sequence[int], last: str) -> str:
        """Connect these users, and plan their first refreshes; ids go up, so those after `last` are new."""
        asked_at, new = utcnow(), list[NewIntegration]()
        for slug in {self._users[n][1] for n in numbers}:
            some = [n for n in numbers if self._users[n][1] == slug]
            grants = await consent(self._http, self._world.url, slug, [self._users[n][0] for n in some])
            new += [
                NewIntegration(
                    tenant_id=_tenant(n),
                    provider_slug=slug,
                    access_token=Secret(grant.access_token),
                    refresh_token=Secret(grant.refresh_token or ""),
                    issued_at=asked_at,
                    expires_at=asked_at + timedelta(seconds=grant.expires_in),
                )
                for n, grant in zip(some, grants, strict=True)
            ]
        await self._service.integrations.add_many(new)
        added = await self._service.integrations.page(limit=len(new), after=last)
        await self._tokens.plan(added)
        return added[-1].id

    async def live(self) -> None:
        """A calm time, the outage, and the time after it; meanwhile users leave."""
        plan = self._plan
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(self._let_leave(plan.before + plan.outage))
            await self._phase("before the outage", plan.before)
            await cause(self._http, self._world.url, Outage(provider=BROKEN, seconds=plan.outage, retry_after=None))
            await self._phase("outage", plan.outage)
            await leaving
            await self._phase("after the outage", plan.after)
            await self._postbox.until(len(self._left), within=DELIVERING)
        self._moments.append(utcnow())
        await self._look()
        self._ledger.close(utcnow())

    async def _phase(self, what: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._moments.append(utcnow())
        begun = loop.time()
        while (passed := loop.time() - begun) < seconds:
            self._step(what, passed, seconds)
            await self._look()
            await asyncio.sleep(min(LOOK_EVERY, seconds - passed))

    async def _let_leave(self, within: float) -> None:
        """So many users revoke their grants, one after the other."""
        for user, provider in (self._users[n] for n in self._leaving):
            await asyncio.sleep(within / len(self._leaving))
            await cause(self._http, self._world.url, Revocation(provider=provider, user=user))
            self._left.append((user, provider))

    async def _look(self) -> None:
        columns = [integrations.c[name] for name in Row._fields]
        since, self._looked_until = self._looked_until, to_us(utcnow() - OVERLAP)
        statement = select(*columns).where(integrations.c.updated_at >= since)
        rows = await self._service.database.read(lambda connection: connection.execute(statement).all())
        self._ledger.look(Row(*row) for row in rows)

    async def figures(self, told: Sequence[Told]) -> Figures:
        """What it came to."""
        asked = await count_all_requests(self._http, self._world.url)
        lapses = self._ledger.lapses
        excused = [one for one in lapses if one.provider == BROKEN and self._phase_of(one.at) == 1]
        elsewhere = [one for one in self._ledger.refreshes if one.provider != BROKEN]
        lateness = [
            p99(one.lateness for one in elsewhere if self._phase_of(one.asked_at) == phase) for phase in (0, 1, 2)
        ]
        turned_away = asked[BROKEN].turned_away
        return Figures(
            refreshes=len(self._ledger.refreshes),
            missed=self._ledger.missed,
            lapsed=len(lapses) - len(excused),
            excused=len(excused),
            revoked=len(self._left),
            asked_once=sum(asked[provider].refused.get(user) == 1 for user, provider in self._left),
            told_once=sum(times == 1 for times in self._postbox.told.values()),
            p99_lateness=(lateness[0], lateness[1], lateness[2]),
            turned_away=turned_away,
            turned_away_per_second=round(turned_away / self._plan.outage, 2),
            reuses=sum(one.reuses for one in asked.values()),
            started_per_second=self._per_second([one.started for one in told]),
            snoozed_per_second=self._per_second([one.snoozed for one in told]),
            cpu_per_second=round(sum(one.cpu for one in told) / self._seconds(0, 3), 2),
        )

    def _phase_of(self, moment: datetime) -> int:
        """-1: while they were still connected; 0, 1, 2: before, during, after the outage."""
        return sum(begun <= moment for begun in self._moments[:3]) - 1

    def _per_second(self, counts: Iterable[dict[int, int]]) -> tuple[float, float, float]:
        sums = [0, 0, 0]
        for count in counts:
            for second, number in count.items():
                phase = sum(begun.timestamp() <= second for begun in self._moments[:3]) - 1
                if phase >= 0:
                    sums[phase] += number
        before, during, after = (round(sums[n] / self._seconds(n, n + 1), 1) for n in range(3))
        return before, during, after

    def _seconds(self, since: int, until: int) -> float:
        return (self._moments[until] - self._moments[since]).total_seconds()


def _tenant(number: int) -> str:
    return f"tenant-{number // len(PROVIDERS)}"


@asynccontextmanager
async def _workers(count: int, stage: Stage) -> AsyncIterator[list[Process]]:
    """Worker processes, for as long as the block: they end with their stdin."""
    arguments = (stage.store, stage.database or "", str(stage.folder or ""))
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.outage_worker", *arguments, stdin=PIPE, stdout=PIPE, cwd=ROOT
        )
        for _ in range(count)
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.terminate()
            await worker.communicate()


async def _told(worker: Process) -> Told:
    """What a worker says at its end, which is now."""
    worker.terminate()
    said, _ = await worker.communicate()
    return msgspec.json.decode(said, type=Told)
