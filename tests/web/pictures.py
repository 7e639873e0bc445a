"""Takes a picture of each page of the dashboard, light and dark, for the docs: `scripts/pictures`."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from math import sin
from pathlib import Path
from random import Random
from typing import get_args

from playwright.async_api import Browser
from tests.families.running import TENANT
from tests.web.board import OTHER, Board, running_board
from tests.web.browser import PHONE, Scheme, looking, running_browser
from tests.web.filed import Filed, add_source, fill
from tests.web.own_site import LOGIN, running_own_site
from tests.web.rolled import rolled_up

from lamplighter.app import App
from lamplighter.core.clock import to_us
from lamplighter.core.config import Settings
from lamplighter.core.model import State, Where
from lamplighter.demo.settle import settle
from lamplighter.demo.world import World, running_world
from lamplighter.families.alerting.alerting import Alerting
from lamplighter.families.alerting.kinds import Bad
from lamplighter.families.analytics.sketch import bucket_of
from lamplighter.families.health import check_now
from lamplighter.integrations.measuring.measure import Measurement, put
from lamplighter.observe.history.slot import ALL, Levels, Tally, closed, write
from lamplighter.observe.history.steps import TENS, record_of
from lamplighter.store.base import Store
from lamplighter.web.pages.causes import groups

TENANTS = (TENANT, OTHER, "north-pier")
NAMES = ("overview", "alerts", "queues", "jobs", "failures", "crons", "workers", "limits", "tenants")
ALERTS: dict[str, list[Bad]] = {  # as it is then
    "breaker-open": [Bad("provider:lantern", 4, "")],
    "cron-missed": [],
    "no-worker": [Bad("exports", 4, ""), Bad("mail", 64, "")],
}
ROOT = Path(__file__).parents[2]
ELSEWHERE = r"""root => document.querySelectorAll(".traceback span, td .id").forEach(
    line => { line.textContent = line.textContent.replace(root, "/srv/app").replace(/\/tmp\/[^/]+/, "/srv/app"); })"""
# whose machine this is, is no news
CALLBACK = "https://lamps.example/api/v1/oauth/callback"
WITH_INTEGRATIONS = ("integrations", "notifications", "analytics", "audit", "files", "upkeep")
PAPERS = [
    Filed("ledgers/may.html", "Cinnamon: 12 crowns. Flour: 40 crowns.", mime_type="text/html", title="May"),
    Filed("recipes/bread.md", "Bread needs flour, water, salt and time.", mime_type="text/markdown"),
    Filed(
        "recipes/buns.md", "Cinnamon buns need patience, and a warm kitchen.", mime_type="text/markdown", title="Buns"
    ),
    Filed("scans/lease.pdf", status="error", mime_type="application/pdf", reason="it is locked with a password."),
    Filed("scans/plan.png", status="pending", mime_type="image/png"),
]


async def take_all(folder: Path) -> None:
    """Every page on a desk, and two of them on a phone."""
    with tempfile.TemporaryDirectory() as home:
        async with (
            running_world(faults=False, token_lifetime=3600) as world,
            running_board(f"sqlite:///{home}/jobs.db", integrating=True, callback_url=CALLBACK) as board,
            running_browser() as browser,
        ):
            pages = await _integrate(board, world) | await _file(board) | await _work(board) | await _add_up(board)
            alerting = await _alert(board)
            async with board.app.worker(concurrency=10, queues=["crawls"]), alerting.running():
                await _until_running(board)
                await _take(browser, board, pages, folder)
            await _take_the_door(browser, f"sqlite:///{home}/door.db", folder)
    _compress(folder)


async def _integrate(board: Board, world: World) -> dict[str, str]:
    """Connected tenants; two whose tokens are no longer good."""
    assert board.tokens is not None
    connected = await settle(board.tokens.service, world.url)
    for one in connected:
        async with board.tokens.service.audit.noting("integration.check", one.resource):
            await check_now(board.tokens, one.id)
    await board.tokens.service.disconnecting.disconnect(connected[-1].id)
    first = connected[0]
    paths = {name: f"/{name}" for name in WITH_INTEGRATIONS}
    paths["notifications"] += f"?tenant={first.tenant_id}"
    return paths | {
        "integration": f"/tenants/{first.tenant_id}/integrations/{first.id}",
        "connect": f"/integrations/connect?tenant={first.tenant_id}",
    }


async def _file(board: Board) -> dict[str, str]:
    """Files of a tenant, and the look for a word."""
    assert board.tokens is not None
    service = board.tokens.service
    await fill(service, await add_source(service, OTHER), PAPERS, synced_at=to_us(board.app.clock()), phase="delta")
    files = f"/tenants/{OTHER}/files"
    return {
        "files-of-tenant": files,
        "files-found": f"{files}/search?q=cinnamon",
        "events": "/notifications/events?event=integration.revoked",
    }


async def _add_up(board: Board) -> dict[str, str]:
    """Two months of jobs: more on weekdays, and slower on one of them."""
    assert board.tokens is not None
    now, dice = board.app.clock(), Random(1)
    happened = []
    for n in range(6000):
        at = now - timedelta(days=dice.random() * 29)
        if at.weekday() < 5 or dice.random() < 0.3:
            took = dice.lognormvariate(0, 0.8) * (3 if (now - at).days == 9 else 1)
            happened.append(Measurement("jobs.done", f"p-{n}", TENANT, to_us(at), took, bucket_of(took)))
    async with rolled_up(board.app, board.tokens, tenant=OTHER) as analytics:
        for first in range(0, len(happened), 500):
            some = happened[first : first + 500]
            await board.tokens.service.database.write(lambda connection, some=some: put(connection, some, now))  # type: ignore[misc]
        await analytics.roll_up()
    return {"analytics": "/analytics?metric=jobs.done&span=60d"}


async def _work(board: Board) -> dict[str, str]:
    """Jobs in every state."""
    app, jobs = board.app, board.jobs
    await app.weigh(OTHER, 3)
    await app.enqueue(jobs.greet.using(tenant=TENANTS[n % 3]).draft(f"Ada {n}") for n in range(120))
    failed = await board.fail(*(f"inbox-{n}" for n in range(7)))
    await app.pause("mail")
    await app.enqueue(jobs.greet.using(tenant=TENANTS[n % 3]).draft(f"Bea {n}") for n in range(64))
    await app.enqueue([jobs.greet.using(delay=timedelta(hours=3)).draft("Cem")])
    await app.enqueue(jobs.crawl.using(tenant="north-pier").draft(f"https://{n}.example.org") for n in range(3))
    await app.gates.open("provider:lantern")
    await _remember(app.store, app.clock())
    await app.enqueue(jobs.export.using(tenant=TENANT).draft(f"outbox-{n}") for n in range(4))
    paths = {name: "/" if name == "overview" else f"/{name}" for name in NAMES}
    [group, *_] = await groups(app.store, None, "cause")
    job = f"/jobs/{failed[-1].id}"
    return paths | {
        "queue": "/queues/mail",
        "job": job,
        "edit": f"{job}/edit",
        "group": f"/failures/cause/{group.fingerprint}",
    }


async def _alert(board: Board) -> Alerting:
    """Some that fire, of which one is silenced, and one that is over."""
    alerting = board.app.part(Alerting)
    assert alerting is not None
    now, rules = board.app.clock(), [one for one in alerting.rules if one.name in ALERTS]
    await alerting.board.silence(
        "no-worker", "mail", timedelta(hours=2), reason="it moves house", user_id="operator:ada"
    )
    missed = {"cron-missed": [Bad("nightly", 300, "Schedule nightly made no job at its slot 5m ago.")]}
    for ago, found in ((15, ALERTS | missed), (10, ALERTS | missed), (8, ALERTS), (5, ALERTS)):
        then = now - timedelta(minutes=ago)
        await alerting.board.advance(rules, found, calm=timedelta(seconds=15), now=then)
    return alerting


async def _remember(store: Store, now: datetime) -> None:
    """A quarter of an hour, with some minutes in which no worker was there."""
    for kept in await store.records(TENS.kind, now=now):
        await store.drop(kept.kind, kept.name)
    last = TENS.begin(now.timestamp())
    for step in range(90, 0, -1):
        if 50 < step < 58:
            continue
        done, waiting = round(90 + 40 * sin(step / 9)), round(60 + 35 * sin(step / 7) + 8 * sin(step))
        slow = max(0, round(9 * sin(step / 11)))
        tally = Tally(
            done,
            int(step % 13 == 0),
            round(2 + 2 * sin(step / 5)),
            {5: done, 7: slow},
            {2: done, 6 + slow // 4: 3 * slow},
            Levels(waiting, 13, 5),
        )
        slot = {ALL: tally, "mail": tally}
        await store.put(record_of(TENS, last - 10 * step, write(closed(slot, last - 10 * step + 10))))


async def _until_running(board: Board) -> None:
    async with asyncio.timeout(30):
        while len(await board.app.store.page(Where(states=(State.RUNNING,)), limit=3)) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.sleep(4)  # or the worker has told of itself before it had anything to do


async def _take(browser: Browser, board: Board, pages: dict[str, str], folder: Path) -> None:
    for scheme in get_args(Scheme):
        async with looking(browser, board.url, "superadmin", scheme=scheme) as page:
            for name, path in pages.items():
                await page.goto(board.url + path, wait_until="networkidle")
                await page.evaluate(ELSEWHERE, str(ROOT))
                await page.screenshot(path=folder / f"{name}-{scheme}.png")
        async with looking(browser, board.url, "superadmin", scheme=scheme, size=PHONE) as page:
            for name in ("overview", "job", "jobs"):
                await page.goto(board.url + pages[name], wait_until="networkidle")
                await page.evaluate(ELSEWHERE, str(ROOT))
                await page.screenshot(path=folder / f"{name}-phone-{scheme}.png")


async def _take_the_door(browser: Browser, store: str, folder: Path) -> None:
    """Where people sign in, of a site that has a password."""
    async with running_own_site(App(settings=Settings(store=store))) as site:
        await site.set_password()
        for scheme in get_args(Scheme):
            async with looking(browser, site.url, "nobody", scheme=scheme) as page:
                await page.goto(site.url + LOGIN, wait_until="networkidle")
                await page.screenshot(path=folder / f"login-{scheme}.png")


def _compress(folder: Path) -> None:
    """With pngquant, where there is one: a third of the size."""
    if program := shutil.which("pngquant"):
        pictures = sorted(map(str, folder.glob("*.png")))
        subprocess.run([program, "--force", "--ext", ".png", "--speed", "1", "128", "--", *pictures], check=True)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(take_all(target))
