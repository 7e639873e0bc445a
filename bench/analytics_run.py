"""A service with tenants all over the world, months of events in any order, and the rollups of them."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from bench.analytics_truth import SHARES, Compared, Event, Row, add_up, compare, moment, overlaps
from sqlalchemy import select

from lamplighter import App
from lamplighter.core.clock import from_us
from lamplighter.core.config import Settings
from lamplighter.families.analytics import sketch
from lamplighter.families.analytics.analytics import Happened
from lamplighter.families.analytics.family import AnalyticsFamily
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.measuring.metric import Metric, declare
from lamplighter.integrations.storage.analytics_tables import rollups
from lamplighter.integrations.tenants import Tenant

METRIC = declare(Metric("bench.taken", "values", "How long something took", "s"))
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # whose clock is set by half an hour
    "Asia/Kolkata",
    "Africa/Cairo",  # whose clock is set at midnight
    "America/St_Johns",
    "Asia/Kathmandu",
    "UTC",
)
WORLDS = {  # 30 days each, with the two changes of Berlin's, Lord Howe's and others' clocks among them
    "spring": (moment("2026-03-06T00:00:00"), moment("2026-04-05T00:00:00")),
    "autumn": (moment("2026-10-03T00:00:00"), moment("2026-11-02T00:00:00")),
}
TOGETHER = 1000
SAID_TWICE = 0.03  # of the events
LATE = 0.1  # of them come only once everything else is added up

Tell = Callable[[str, float, float], None]


class Clock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.now = WORLDS["spring"][1]

    def __call__(self) -> datetime:
        return self.now


class Told(NamedTuple):
    """What a run came to. Seconds: of taking events, and of adding up what was taken."""

    events: int
    repeated: int
    late: int
    compared: Compared
    overlapping: list[str]
    taking: float
    adding: float


class World(NamedTuple):
    """An open service whose clock is ours."""

    clock: Clock
    tokens: TokenFamily
    analytics: AnalyticsFamily
    app: App[Any]


@asynccontextmanager
async def world(settings: Settings) -> AsyncIterator[World]:
    """With its tables empty."""
    clock = Clock()
    app = App[Any](settings=settings, clock=clock)
    tokens = TokenFamily(app)
    analytics = AnalyticsFamily(app, tokens)
    async with app:
        yield World(clock, tokens, analytics, app)


def settings_of(url: str, folder: Path) -> Settings:
    """Thirty days of measurements are kept."""
    return Settings(store="memory://", database=url, folder=folder, keep_measurements=timedelta(days=30))


def zones_of(tenants: int) -> dict[str, str]:
    """So many tenants, all over the world."""
    return {f"t-{n:03}": ZONES[n % len(ZONES)] for n in range(tenants)}


def events_of(dice: random.Random, n: int, season: str, zones: Sequence[str]) -> list[Event]:
    """So many in thirty days, some of them near to where clocks are set; a few tenants have most of them."""
    since, until = WORLDS[season]
    days = (until - since) // timedelta(days=1)
    events = []
    for number in range(n):
        if dice.random() < 0.2:
            at = until - timedelta(days=dice.choice((0, 7, 28)), seconds=dice.uniform(0, 172_800))
        else:
            at = since + timedelta(days=dice.uniform(0, days))
        tenant = zones[min(int(dice.expovariate(4) * len(zones)), len(zones) - 1)]
        at = min(max(at, since), until - timedelta(microseconds=1)).replace(microsecond=dice.randrange(1_000_000))
        events.append(Event(f"{season}-{number}", tenant, at, dice.lognormvariate(0, 2)))
    return events


async def run(world: World, events: int, tenants: int, seed: int, tell: Tell) -> Told:
    """Take the events of two seasons, some twice, some late, and add them up; then work them out in another way."""
    dice, zones = random.Random(seed), zones_of(tenants)
    await world.tokens.service.tenants.add(
        [Tenant(id=id_, name=id_, owner_id="o", time_zone=zone) for id_, zone in zones.items()]
    )
    every: list[Event] = []
    taking = adding = 0.0
    repeated = late = 0
    for season, (since, until) in WORLDS.items():
        for world.clock.now in (since, until):  # so the zones are followed from the first day on
            await world.analytics.roll_up()
        some = events_of(dice, events // 2, season, list(zones))
        again = dice.sample(some, int(len(some) * SAID_TWICE))
        told = [*some, *again]
        dice.shuffle(told)
        cut = int(len(told) * (1 - LATE))
        for what, part in ((season, told[:cut]), (f"{season}, late", told[cut:])):
            began = time.perf_counter()
            await take(world, part, tell, what)
            taking += time.perf_counter() - began
            began = time.perf_counter()
            await add(world, tell, what)
            adding += time.perf_counter() - began
        every += some
        repeated, late = repeated + len(again), late + len(told) - cut
    tell("working it out in another way", 0, 1)
    rows = await read(world)
    compared = compare(rows, add_up(every, zones), zones)
    return Told(len(every), repeated, late, compared, overlaps(rows), taking, adding)


async def take(world: World, events: Sequence[Event], tell: Tell, what: str) -> None:
    """As a host would, many in one call."""
    for first in range(0, len(events), TOGETHER):
        some = events[first : first + TOGETHER]
        await world.analytics.measures.add([Happened(METRIC.name, e.tenant, e.value, e.at, e.id) for e in some])
        tell(f"{what}: taking", first + len(some), len(events))


async def add(world: World, tell: Tell, what: str) -> None:
    """All that is new."""
    await world.analytics.roll_up(lambda done, of: tell(f"{what}: {of}", done, done + 1))


async def read(world: World) -> list[Row]:
    """All rollups, as they are in the table."""
    rows = await world.tokens.service.database.read(
        lambda connection: list(connection.execute(select(rollups).where(rollups.c.metric == METRIC.name)).mappings())
    )
    return [
        Row(
            row["tenant_id"],
            row["resolution"],
            from_us(row["begins_at"]),
            from_us(row["ends_at"]),
            row["count"],
            row["total"],
            row["least"],
            row["most"],
            dict(
                zip(SHARES, (value or 0.0 for value in sketch.quantiles(row["sketch"], SHARES.values())), strict=True)
            ),
        )
        for row in rows
    ]
