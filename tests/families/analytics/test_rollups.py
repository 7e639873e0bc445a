"""Rollups are what another way of working them out comes to, whatever happened to clocks, events and processes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bench.analytics_run import METRIC, World, read, run, settings_of, world
from bench.analytics_truth import Event, Row, add_up, compare, overlaps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from lamplighter.core.clock import to_us
from lamplighter.families.analytics import sketch
from lamplighter.families.analytics.analytics import Happened
from lamplighter.families.analytics.level import LEVELS
from lamplighter.families.analytics.ranges import BadRange
from lamplighter.families.analytics.rollup import Rollup
from lamplighter.integrations.measuring.metric import BadMetric, Metric, declare
from lamplighter.integrations.storage.analytics_tables import measurements, rollup_marks, rollups
from lamplighter.integrations.tenants import Tenant

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
ORDERS = declare(Metric("tests.orders", "count", "Orders"))


def quiet(_what: str, _done: float, _total: float) -> None: ...


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lamplighter.db"
    return str(request.getfixturevalue("postgres_schema_url"))


@asynccontextmanager
async def opened_at(url: str, folder: Path) -> AsyncIterator[World]:
    async with world(settings_of(url, folder)) as opened:
        opened.clock.now = NOW
        await opened.analytics.roll_up()
        yield opened


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[World]:
    async with opened_at(f"sqlite:///{tmp_path}/lamplighter.db", tmp_path) as opened:
        yield opened


@pytest.fixture
async def either(url: str, tmp_path: Path) -> AsyncIterator[World]:
    """On each database: what depends on how its statements and transactions behave."""
    async with opened_at(url, tmp_path) as opened:
        yield opened


async def tell(ours: World, *events: Event) -> int:
    return await ours.analytics.measures.add([Happened(METRIC.name, e.tenant, e.value, e.at, e.id) for e in events])


async def live_in(ours: World, **zones: str) -> None:
    tenants = ours.tokens.service.tenants
    await tenants.add([Tenant(id=id_, name=id_, owner_id="o") for id_ in zones])
    for id_, zone in zones.items():
        await tenants.live_in(id_, zone)


def event(n: int, hours_ago: float, *, tenant: str = "t-1", value: float = 1.0) -> Event:
    return Event(f"e-{n}", tenant, NOW - timedelta(hours=hours_ago), value)


async def windows(ours: World, resolution: str, tenant: str = "t-1") -> list[tuple[datetime, int]]:
    rows = await read(ours)
    found = [(one.begins_at, one.number) for one in rows if (one.resolution, one.tenant) == (resolution, tenant)]
    return sorted(found)


async def test_rollups_are_what_another_way_comes_to_over_two_changes_of_clocks(url: str, tmp_path: Path) -> None:
    """The small size of `bench.analytics`: late events, and some that are told twice."""
    async with world(settings_of(url, tmp_path)) as opened:
        told = await run(opened, events=700, tenants=8, seed=7, tell=quiet)
    assert told.compared.differing == [] == told.overlapping
    assert told.compared.windows > 1000
    assert 0 < told.compared.worst <= sketch.ACCURACY * 1.000001
    assert min(told.repeated, told.late) > 0


async def test_what_comes_late_is_added_to_its_window_and_what_comes_twice_is_not(ours: World) -> None:
    assert await tell(ours, event(1, 30), event(2, 30), event(2, 30)) == 2
    await ours.analytics.roll_up()
    assert await windows(ours, "day") == [(datetime(2026, 3, 31, tzinfo=UTC), 2)]
    assert await tell(ours, event(1, 30), event(3, 29)) == 1
    await ours.analytics.roll_up()
    assert [n for _, n in await windows(ours, "hour")] == [2, 1]
    assert [n for _, n in await windows(ours, "day")] == [3]
    assert [n for _, n in await windows(ours, "month", "*")] == [3]


async def test_what_comes_too_late_to_be_added_to_all_of_its_hour_is_refused_and_counted(ours: World) -> None:
    assert await tell(ours, event(1, 24 * 30 + 1), event(2, 24 * 30 - 1)) == 1
    assert ours.app.meter.late_measurements == 1


async def test_an_event_that_comes_while_its_window_is_made_is_not_lost(ours: World) -> None:
    await tell(ours, event(1, 1))
    rollup = Rollup(ours.tokens.service.database, clock=ours.clock)
    assert await rollup.look() == 1
    await tell(ours, event(2, 1))  # its hour is marked, and not made yet
    assert await rollup.roll(LEVELS[0]) == 2
    await tell(ours, event(3, 1))
    await rollup.everything()
    assert [n for _, n in await windows(ours, "day")] == [3]


async def test_several_that_add_up_at_once_come_to_the_same(either: World) -> None:
    ours = either
    dice = random.Random(3)
    events = [event(n, dice.uniform(0, 100), value=dice.lognormvariate(0, 1)) for n in range(200)]
    database = ours.tokens.service.database

    async def keep_telling() -> None:
        for first in range(0, len(events), 20):
            await tell(ours, *events[first : first + 20])

    async with asyncio.TaskGroup() as group:
        group.create_task(keep_telling())
        for _ in range(3):
            group.create_task(Rollup(database, clock=ours.clock).everything())
    await Rollup(database, clock=ours.clock).everything()
    compared = compare(await read(ours), add_up(events, {"t-1": "UTC"}), {"t-1": "UTC"})
    assert compared.differing == []


async def test_adding_up_again_changes_nothing(ours: World) -> None:
    await tell(ours, *(event(n, n / 3, value=n + 1) for n in range(50)))
    await ours.analytics.roll_up()
    before = await read(ours)
    database = ours.tokens.service.database
    await database.write(lambda connection: connection.execute(update(measurements).values(is_new=True)))
    await ours.analytics.roll_up()
    assert sorted(await read(ours), key=key_of) == sorted(before, key=key_of)


def key_of(row: Row) -> tuple[str, str, datetime]:
    return row.tenant, row.resolution, row.begins_at


async def test_a_tenant_that_moves_has_windows_of_its_new_zone_and_no_moment_twice(either: World) -> None:
    ours = either
    await live_in(ours, **{"t-1": "America/New_York"})
    await ours.analytics.roll_up()
    old = [event(n, 24 * 29 - n / 2) for n in range(200)]
    await tell(ours, *old)
    await ours.analytics.roll_up()
    ours.clock.now = NOW + timedelta(days=26)  # so some of it is older than what is kept
    await ours.analytics.roll_up()
    await tell(ours, *(event(n, (1000 - n) * 4) for n in range(1000, 1100)))
    await live_in(ours, **{"t-1": "Asia/Kathmandu"})
    await ours.analytics.roll_up()
    rows = await read(ours)
    assert overlaps(rows) == []
    for resolution in ("hour", "day", "month"):
        of_tenant = [one for one in rows if (one.tenant, one.resolution) == ("t-1", resolution)]
        assert sum(one.number for one in of_tenant) == 300, resolution
    newest = max(one.begins_at for one in rows if (one.tenant, one.resolution) == ("t-1", "day"))
    assert newest.strftime("%H:%M") == "18:15", "midnight in Kathmandu"
    found = await ours.analytics.gaps(NOW - timedelta(days=40), ours.clock.now)
    assert found.gaps == []


async def test_gaps_are_found_at_each_resolution_and_refilled(either: World) -> None:
    ours = either
    await live_in(ours, **{"t-1": "Asia/Kolkata"})
    await ours.analytics.roll_up()
    await tell(ours, *(event(n, 3 * n + 60, value=n + 1) for n in range(60)))
    await ours.analytics.roll_up()
    before = sorted(await read(ours), key=key_of)
    since, until = NOW - timedelta(days=40), NOW + timedelta(days=40)
    assert (await ours.analytics.gaps(since, until)).gaps == []
    database, row = ours.tokens.service.database, rollups.c
    doomed = (
        (row.resolution == "hour") & (row.begins_at < to_us(NOW - timedelta(days=5)))
        | (row.resolution == "day") & (row.tenant_id == "*")
        | (row.resolution == "month")
    )
    await database.write(lambda connection: connection.execute(delete(rollups).where(doomed)))
    found = await ours.analytics.gaps(since, until)
    assert {(one.resolution, one.tenant) for one in found.gaps} >= {("hour", "t-1"), ("hour", "*"), ("day", "*")}
    while found.gaps:
        assert all(one.has != one.should for one in found.gaps)
        await ours.analytics.refill(found)
        await ours.analytics.roll_up()
        found = await ours.analytics.gaps(since, until)
    assert sorted(await read(ours), key=key_of) == before


async def test_a_rollup_that_is_not_what_it_is_made_of_is_a_gap_too(ours: World) -> None:
    await tell(ours, event(1, 50), event(2, 50))
    await ours.analytics.roll_up()
    wrong = update(rollups).where(rollups.c.resolution == "day", rollups.c.tenant_id == "t-1").values({"count": 7})
    await ours.tokens.service.database.write(lambda connection: connection.execute(wrong))
    [gap] = (await ours.analytics.gaps(NOW - timedelta(days=5), NOW)).gaps
    assert (gap.resolution, gap.tenant, gap.has, gap.should) == ("day", "t-1", 7, 2)


async def test_each_resolution_is_kept_as_long_as_the_settings_say_and_what_is_not_added_up_stays(
    either: World,
) -> None:
    ours = either
    await tell(ours, event(1, 1), event(2, 24 * 29))
    await ours.analytics.roll_up()
    assert await ours.analytics._forget(None) == {"measurements": 0, "hours": 0, "days": 0, "months": 0}  # type: ignore[arg-type]
    ours.clock.now = NOW + timedelta(days=20)
    await ours.analytics.roll_up()
    late = Happened(METRIC.name, "t-1", 1, NOW - timedelta(days=9), "late")
    assert await ours.analytics.measures.add([late]) == 1
    ours.clock.now = NOW + timedelta(days=100)
    forgotten = await ours.analytics._forget(None)  # type: ignore[arg-type]
    assert forgotten["measurements"] == 1, "an hour that is still to be made keeps all that came after it"
    assert (forgotten["hours"], forgotten["days"]) == (4, 0)
    await ours.analytics.roll_up()
    assert (await ours.analytics._forget(None))["measurements"] == 2  # type: ignore[arg-type]
    assert [n for _, n in await windows(ours, "day")] == [1, 1, 1]


async def test_a_hosts_metric_is_counted_in_the_hosts_transaction(ours: World) -> None:
    measures, database = ours.analytics.measures, ours.tokens.service.database
    assert await measures.count(ORDERS.name, 3, tenant="t-1", id_="o-1")
    assert not await measures.count(ORDERS.name, 3, tenant="t-1", id_="o-1")
    with pytest.raises(RuntimeError, match="the host changes its mind"):
        await database.write(lambda connection: _count_and_fail(ours, connection))
    await ours.analytics.roll_up()
    series = await ours.analytics.reading.series(ORDERS, "t-1", "day", NOW - timedelta(days=1), NOW)
    assert [one.figures for one in series.windows] == [{"total": 3}]


def _count_and_fail(ours: World, connection: object) -> None:
    assert ours.analytics.measures.add_within(connection, [Happened(ORDERS.name, "t-1", 2)]) == 1  # type: ignore[arg-type]
    raise RuntimeError("the host changes its mind")


@pytest.mark.parametrize(
    ("happened", "says"),
    [
        (Happened("tests.order"), "did you mean 'tests.orders'"),
        (Happened("jobs.done"), "measured by Lamplighter itself"),
        (Happened(ORDERS.name, value=1.5), "a whole number from 0"),
        (Happened(METRIC.name, value=-1), "a number from 0"),
        (Happened(METRIC.name, value=float("nan")), "a number from 0"),
        (Happened(ORDERS.name, at=NOW + timedelta(days=2)), "a moment with its zone"),
        (Happened(ORDERS.name, at=NOW.replace(tzinfo=None)), "a moment with its zone"),
        (Happened(ORDERS.name, id="x" * 201), "at most 200"),
        (Happened(ORDERS.name, tenant="*"), "at most 200"),
    ],
)
async def test_what_cannot_be_measured_is_refused_with_what_to_do(
    happened: Happened, says: str, tmp_path: Path
) -> None:
    async with world(settings_of(f"sqlite:///{tmp_path}/lamplighter.db", tmp_path)) as opened:
        opened.clock.now = NOW
        with pytest.raises(BadMetric, match=says):
            await opened.analytics.measures.add([happened])


async def test_nothing_is_measured_that_nobody_adds_up(ours: World) -> None:
    ours.clock.now = NOW + timedelta(days=8)
    assert await ours.analytics.measures.add([Happened(ORDERS.name)]) == 0
    count = select(func.count()).select_from(measurements)
    assert await ours.tokens.service.database.read(lambda connection: connection.execute(count).scalar()) == 0


async def test_a_time_of_which_not_all_is_there_any_more_is_not_read_again(ours: World) -> None:
    with pytest.raises(BadRange, match="raise keep_measurements"):
        async for _ in ours.analytics.read_again(NOW - timedelta(days=40), NOW):
            pass
    marked = select(func.count()).select_from(rollup_marks)
    assert await ours.tokens.service.database.read(lambda connection: connection.execute(marked).scalar()) == 0


values = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e9)), min_size=1, max_size=200)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(values, min_size=1, max_size=4))
def test_a_merged_sketch_is_that_of_all_values_and_each_quantile_is_within_its_bound(parts: list[list[float]]) -> None:
    packed = [sketch.pack(_counted(part)) for part in parts]
    every = sorted(value for part in parts for value in part)
    merged = sketch.merge(packed)
    assert merged == sketch.merge(reversed(packed)) == sketch.merge([sketch.pack(_counted(every))])
    for share in (0.0, 0.5, 0.95, 0.99, 1.0):
        [found] = sketch.quantiles(merged, [share])
        exact = every[int(share * (len(every) - 1))]
        assert found is not None
        assert abs(found - exact) <= exact * sketch.ACCURACY * 1.000001


def _counted(some: list[float]) -> list[tuple[int | None, int]]:
    counts: dict[int | None, int] = {}
    for value in some:
        bucket = sketch.bucket_of(value)
        counts[bucket] = counts.get(bucket, 0) + 1
    return list(counts.items())
