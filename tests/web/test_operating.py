"""What operators see and do over HTTP: schedules, workers, limits, shares, tenants, providers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.families.running import TENANT
from tests.web.site import LANTERN, OTHER, Site, told

from lamplighter import Ctx
from lamplighter.core.clock import utcnow
from lamplighter.core.limit import Breaker
from lamplighter.core.model import Record, Where
from lamplighter.demo.world import World
from lamplighter.engine.tick import KIND, tell
from lamplighter.integrations.integration import Integration
from lamplighter.integrations.refreshing.outage import shut

C = Ctx[None]


def with_jobs(site: Site) -> Any:
    """A job, and a schedule of it for each hour."""
    app = site.inside.app

    @app.job("report", queue="reports")
    async def report(ctx: C) -> None: ...

    app.every(timedelta(hours=1), report.draft(), name="hourly")
    return report


async def data(site: Site, path: str, who: str = "viewer") -> Any:
    status, found = told(await site.ask(who, "GET", path))
    assert status == 200
    return found


async def done(site: Site, path: str, json: object = None) -> None:
    answer = await site.ask("operator", "POST", path, json)
    assert (answer.status_code, answer.content) == (204, b"")


async def cron(site: Site) -> dict[str, Any]:
    [one] = [one for one in await data(site, "/crons") if one["name"] == "hourly"]
    return dict(one)


async def test_a_schedule_is_shown_with_its_next_ten_slots(site: Site) -> None:
    with_jobs(site)
    found = await cron(site)
    assert (found["schedule"], found["job"], found["queue"]) == ("every 1:00:00", "report", "reports")
    assert (found["lastAt"], found["paused"], found["pausedSince"], found["heldBy"]) == (None, False, None, None)
    comes = [datetime.fromisoformat(one) for one in found["next"]]
    assert comes == [comes[0] + n * timedelta(hours=1) for n in range(10)]
    assert found["nextAt"] == found["next"][0]


async def test_a_schedule_of_another_app_is_shown_from_what_its_workers_told(site: Site) -> None:
    with_jobs(site)
    [entry] = [one for one in site.inside.app.schedules if one.name == "hourly"]
    value = tell(entry, utcnow())
    text = b'{"schedule":"0 3 * * * Europe/Berlin","job":"night","queue":"q","seen":0,"fired":0,"next":0}'
    await site.inside.app.store.put(Record(kind=KIND, name="nightly", value=text.decode()))
    [found] = [one for one in await data(site, "/crons") if one["name"] == "nightly"]
    assert (found["job"], len(found["next"]), found["lastAt"]) == ("night", 10, "1970-01-01T00:00:00Z")
    assert value.job == "report"
    assert told(await site.ask("operator", "POST", "/crons/nightly/run")) == (409, "cron/not-here")


async def test_a_schedule_is_paused_and_goes_on(site: Site) -> None:
    with_jobs(site)
    await done(site, "/crons/hourly/pause")
    assert (await cron(site))["paused"]
    await done(site, "/crons/hourly/resume")
    assert not (await cron(site))["paused"]
    assert told(await site.ask("operator", "POST", "/crons/never/pause")) == (404, "cron/not-found")


async def test_a_schedule_is_run_by_hand(site: Site) -> None:
    with_jobs(site)
    status, ran = told(await site.ask("operator", "POST", "/crons/hourly/run"))
    [job] = await site.inside.app.store.page(Where(names=("report",)), limit=10)
    assert (status, ran) == (200, {"id": job.id, "created": True})
    assert told(await site.ask("operator", "POST", "/crons/never/run")) == (404, "cron/not-found")


async def test_workers_are_shown_and_drained(site: Site) -> None:
    async with site.inside.app.worker(queues=["reports"], concurrency=3) as worker:
        while not (found := await data(site, "/workers")):
            pass  # it tells of itself from a thread of its own
        assert (found[0]["name"], found[0]["queues"], found[0]["concurrency"]) == (worker.name, ["reports"], 3)
        assert (found[0]["running"], found[0]["stopping"], found[0]["jobs"]) == (0, False, [])
        await done(site, f"/workers/{worker.name}/drain")
        await worker.stopped()
    assert told(await site.ask("operator", "POST", f"/workers/{worker.name}/drain")) == (404, "worker/not-found")


async def test_a_limit_is_opened_closed_and_held_back(site: Site) -> None:
    site.inside.app.limit("drive", running=2, breaker=Breaker())
    key = "drive:a/b"  # keys may have slashes
    await done(site, f"/limits/{key}/open", {"seconds": 60})
    [found] = await data(site, f"/limits?key={key}")
    assert (found["state"], found["held"]) == ("open", False)
    assert timedelta() < datetime.fromisoformat(found["opensAt"]) - utcnow() <= timedelta(seconds=60)
    await done(site, f"/limits/{key}/open")
    [found] = await data(site, "/limits")
    assert (found["key"], found["held"]) == (key, True)
    await done(site, f"/limits/{key}/close")
    [found] = await data(site, f"/limits?key={key}")
    assert (found["state"], found["held"], found["opensAt"]) == ("closed", False, None)
    await done(site, f"/limits/{key}/penalize", {"seconds": 60})
    [found] = await data(site, f"/limits?key={key}")
    assert (found["state"], found["opensAt"] is None) == ("closed", False)
    for refused in ({}, {"seconds": 0}, {"seconds": 10**9}, {"seconds": 1, "more": 1}):
        answer = await site.ask("operator", "POST", f"/limits/{key}/penalize", refused)
        assert told(answer) == (400, "validation/invalid-input")


async def test_tenants_are_shown_with_their_weight_and_backlog_page_by_page(site: Site) -> None:
    report = with_jobs(site)
    await site.inside.app.enqueue([report.using(tenant="a-guest").draft() for _ in range(3)])
    await site.inside.app.enqueue([report.using(tenant=TENANT).draft(), report.draft()])
    await done(site, f"/tenants/{OTHER}/weight", {"weight": 7})
    guest, ours, other = await data(site, "/tenants")
    assert guest == {"id": "a-guest", "name": None, "archived": False, "weight": 1, "backlog": {"reports": 3}}
    assert (ours["id"], ours["name"], ours["backlog"]) == (TENANT, TENANT, {"reports": 1})
    assert (other["id"], other["weight"], other["backlog"]) == (OTHER, 7, {})
    first = (await site.ask("viewer", "GET", "/tenants?limit=2")).json()
    rest = (await site.ask("viewer", "GET", f"/tenants?limit=2&after={first['next']}")).json()
    assert [one["id"] for one in first["data"] + rest["data"]] == ["a-guest", TENANT, OTHER]
    assert rest["next"] is None
    refused = await site.ask("operator", "POST", f"/tenants/{OTHER}/weight", {"weight": 101})
    assert told(refused) == (400, "validation/invalid-input")


async def test_the_shares_of_a_queue_are_shown_in_the_order_of_turns(site: Site) -> None:
    report = with_jobs(site)
    await site.inside.app.enqueue([report.using(tenant=TENANT).draft(), report.draft(), report.draft()])
    found = {one["tenant"]: one["queued"] for one in await data(site, "/queues/reports/shares")}
    assert found == {TENANT: 1, None: 2}


async def test_providers_are_shown_without_secrets_and_with_their_outages(
    site: Site, connected: Integration, world: World
) -> None:
    for who in ("viewer", "owner"):
        [found] = await data(site, "/providers", who)
        assert (found["slug"], found["clientSecret"], found["leftAloneUntil"]) == (LANTERN, "[REDACTED]", None)
    until = utcnow() + timedelta(minutes=1)
    await site.service.database.write(lambda connection: shut(connection, LANTERN, until, is_probe=False))
    [found] = await data(site, "/providers")
    assert datetime.fromisoformat(found["leftAloneUntil"]) == until


async def test_integrations_of_all_tenants_are_listed_for_whoever_sees_them(
    site: Site, connected: Integration, world: World
) -> None:
    other = await site.connect(world.url, "harbor-files", tenant=OTHER)
    both = [connected.id, other.id]
    ids = {
        who: [one["id"] for one in await data(site, "/integrations", who)] for who in ("viewer", "owner", "stranger")
    }
    assert ids == {"viewer": both, "owner": [connected.id], "stranger": [other.id]}
    for query, expected in (
        (f"tenant={OTHER}", [other.id]),
        ("provider=harbor-files", [other.id]),
        ("status=revoked", []),
        ("limit=1", both[:1]),
        (f"limit=1&after={connected.id}", both[1:]),
    ):
        assert [one["id"] for one in await data(site, f"/integrations?{query}")] == expected
    assert told(await site.ask("owner", "GET", f"/integrations?tenant={OTHER}"))[0] == 403
    assert told(await site.ask("nosy", "GET", "/integrations"))[0] == 403
