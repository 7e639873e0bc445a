"""What is measured of jobs, refreshes, files, messages and health: each once, however often somebody looks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bench.analytics_run import World, settings_of, world
from sqlalchemy import delete, insert, select

from lamplighter import Ctx, exponential
from lamplighter.core.clock import to_us
from lamplighter.core.ids import new_id
from lamplighter.core.model import Where
from lamplighter.core.secret import Secret
from lamplighter.families.analytics.windows import Resolution
from lamplighter.integrations.health.span import Seen
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.notices import message
from lamplighter.integrations.provider import load_facts
from lamplighter.integrations.refreshing import row
from lamplighter.integrations.storage.analytics_tables import measurements, rollup_sources, rollups
from lamplighter.integrations.storage.tables import messages, recipients
from lamplighter.integrations.tenants import Tenant

NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)  # in the afternoon of a day of 23 hours, in Berlin


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[World]:
    async with world(settings_of(f"sqlite:///{tmp_path}/lamplighter.db", tmp_path)) as opened:
        opened.clock.now = NOW
        await opened.tokens.service.tenants.add(
            [Tenant(id="t-1", name="Bakery", owner_id="o", time_zone="Europe/Berlin")]
        )
        await opened.analytics.roll_up()
        yield opened


async def figures(ours: World, metric: str, tenant: str = "t-1", by: Resolution = "day") -> list[dict[str, Any]]:
    since, until = NOW - timedelta(days=40), ours.clock.now + timedelta(days=1)
    reading = ours.analytics.reading
    series = await reading.series(await reading.metric(metric), tenant, by, since, until)
    return [dict(one.figures) for one in series.windows]


async def some_jobs(ours: World) -> None:
    """Two that are done, one that fails and one that is cancelled, of a tenant; and one that is done for nobody."""

    @ours.app.job("tests.work", retry=exponential(attempts=1))
    async def work(ctx: Ctx[Any], *, fails: bool = False) -> None:
        ours.clock.now += timedelta(seconds=2)
        if fails:
            raise ValueError("it does not work")

    of_tenant = work.using(tenant="t-1")
    later = await of_tenant.using(delay=timedelta(hours=1)).enqueue()
    await ours.app.store.cancel(Where(ids=(later.id,)), limit=1, now=ours.clock())
    for one in (of_tenant.draft(), of_tenant.draft(), of_tenant.draft(fails=True), work.draft()):
        await ours.app.enqueue([one])
        async with ours.app.worker(concurrency=1) as worker:
            await ours.app.until_idle(worker)


async def test_jobs_are_counted_by_how_they_ended_and_how_long_they_ran(ours: World) -> None:
    await some_jobs(ours)
    for _ in range(2):
        await ours.analytics.roll_up()
    [done] = await figures(ours, "jobs.done")
    assert (done["count"], done["least"], done["most"]) == (2, 2, 2)
    assert await figures(ours, "jobs.failed") == [{"total": 1}]
    assert await figures(ours, "jobs.cancelled") == [{"total": 1}]
    assert [one["count"] for one in await figures(ours, "jobs.wait")] == [3]
    [everybodys] = await figures(ours, "jobs.done", "*", "month")
    assert everybodys["count"] >= 3


async def test_what_was_lost_is_read_again_from_the_store(ours: World) -> None:
    await some_jobs(ours)
    await ours.analytics.roll_up()
    before = await figures(ours, "jobs.done"), await figures(ours, "jobs.failed")
    database = ours.tokens.service.database
    for table in (measurements, rollups):
        await database.write(lambda connection, table=table: connection.execute(delete(table)))  # type: ignore[misc]
    assert await figures(ours, "jobs.done") == []
    steps = [one async for one in ours.analytics.read_again(NOW - timedelta(days=1), ours.clock.now + timedelta(1))]
    assert (steps[-1].what, steps[-1].share) == ("windows", 1)
    assert (await figures(ours, "jobs.done"), await figures(ours, "jobs.failed")) == before
    again = [one async for one in ours.analytics.read_again(NOW - timedelta(days=1), ours.clock.now + timedelta(1))]
    assert again[-1].new == 0


async def test_one_that_ends_again_after_a_retry_has_ended_twice(ours: World) -> None:
    await some_jobs(ours)
    await ours.analytics.roll_up()
    [failed] = await ours.app.store.page(Where(names=("tests.work",), states=("failed",)), limit=2)  # type: ignore[arg-type]
    await ours.app.store.retry(Where(ids=(failed.id,)), limit=1, now=ours.clock())
    async with ours.app.worker(concurrency=1) as worker:
        await ours.app.until_idle(worker)
    await ours.analytics.roll_up()
    assert await figures(ours, "jobs.failed") == [{"total": 2}]


async def test_a_time_in_which_nobody_looked_is_told_of(ours: World) -> None:
    ours.clock.now += timedelta(hours=3)
    await ours.analytics.roll_up()
    [hole] = (await ours.analytics.gaps(NOW - timedelta(days=1), ours.clock.now)).holes
    assert (hole.source, hole.since, hole.until) == ("jobs", NOW, NOW + timedelta(hours=3))


async def test_the_place_is_stored_with_what_was_found_before_it(ours: World) -> None:
    await some_jobs(ours)
    await ours.analytics.roll_up()
    [last] = (await ours.app.store.ended(await _first(ours), limit=1000))[-1:]
    place = select(rollup_sources.c.at, rollup_sources.c.place).where(rollup_sources.c.name == "jobs")
    found = await ours.tokens.service.database.read(lambda connection: connection.execute(place).one())
    assert tuple(found) == (to_us(last.ended_at), last.id)


async def _first(ours: World) -> Any:
    from lamplighter.core.model import EndedPlace

    return EndedPlace(NOW - timedelta(days=1))


async def connected(ours: World) -> str:
    service = ours.tokens.service
    await service.registrations.register(load_facts()["gdrive"].with_client("client", Secret("secret")))
    new = NewIntegration(tenant_id="t-1", provider_slug="gdrive", access_token=Secret("a"), refresh_token=Secret("r"))
    return (await service.integrations.connect(new)).id


async def test_uptime_is_the_healthy_share_of_what_is_known_also_while_it_lasts(ours: World) -> None:
    id_ = await connected(ours)  # and healthy from then on
    ours.clock.now = NOW + timedelta(minutes=90)
    await ours.tokens.service.healths.note(id_, Seen("error", "it answers 500", 10))
    ours.clock.now = NOW + timedelta(minutes=120)
    await ours.analytics.roll_up()
    shares = [one["share"] for one in await figures(ours, "integrations.uptime", by="hour")]
    assert shares == [1, 0.5]
    assert await figures(ours, "integrations.uptime") == [{"share": 0.75}]
    ours.clock.now = NOW + timedelta(minutes=180)
    await ours.analytics.roll_up()
    assert await figures(ours, "integrations.uptime", "*") == [{"share": 0.5}]


async def test_refreshes_and_messages_are_measured_in_the_transaction_that_stores_them(ours: World) -> None:
    id_ = await connected(ours)
    database, now = ours.tokens.service.database, ours.clock()
    sealed = row.Sealed(access_token="x", refresh_token="y", issued_at=0, expires_at=None, refresh_at=None, scopes="")
    for _ in range(2):  # the second time newer tokens are there
        answer = row.Answer(id_, 1, "me", sealed)
        await database.write(lambda connection: row.store(connection, [answer], now))  # noqa: B023 - run at once
    held = row.Held(id_, "me", "active", None, "y", 2)
    await database.write(lambda connection: row.suffer_outage(connection, held, now))
    sent, lost = await _messages(ours), await _messages(ours)
    for one, failure in ((sent, None), (sent, None), (lost, "no such mailbox")):
        await database.write(lambda connection, one=one, failure=failure: message.end(connection, one, now, failure))  # type: ignore[misc]
    await ours.analytics.roll_up()
    for metric in ("refreshes.done", "refreshes.failed", "notifications.sent", "notifications.failed"):
        assert await figures(ours, metric) == [{"total": 1}], metric
    steps = [one async for one in ours.analytics.read_again(NOW - timedelta(days=1), NOW + timedelta(1))]
    assert steps[-1].new == 0, "what is read again has the ids under which it was measured"


async def _messages(ours: World) -> str:
    id_ = new_id(to_us(ours.clock()))
    someone = {"id": id_, "tenant_id": "t-1", "channel": "mail", "address": "-", "events": "default", "created_at": 0}
    one = {"id": id_, "recipient_id": id_, "topic": "tests.told", "created_at": to_us(ours.clock())}
    database = ours.tokens.service.database
    await database.write(lambda connection: connection.execute(insert(recipients), someone))
    await database.write(lambda connection: connection.execute(insert(messages), one))
    return id_


async def test_a_worker_does_all_of_it_by_jobs(ours: World) -> None:
    await some_jobs(ours)
    jobs = [ours.analytics.rollup.draft(), ours.analytics.forget.draft()]
    rolled, forgotten = await ours.app.enqueue(jobs)
    read = await ours.analytics.backfill.enqueue(NOW - timedelta(days=1), ours.clock.now)
    async with ours.app.worker(concurrency=1) as worker:
        await ours.app.until_idle(worker)
    assert (await rolled.result())["collected"] > 0
    assert (await forgotten.result())["measurements"] == 0
    assert await read.result() == 0
    assert await figures(ours, "jobs.failed") == [{"total": 1}]
