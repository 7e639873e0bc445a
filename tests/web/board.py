"""A dashboard on a port, an app with jobs behind it, and who looks at it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx2
from fastapi import Request
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.families.running import TENANT
from tests.web.site import served

from lamplighter import App, Ctx, Rate, exponential
from lamplighter.core.config import Settings
from lamplighter.core.model import JobView, State, Where
from lamplighter.families.alerting.alerting import Alerting
from lamplighter.families.tokens import TokenFamily
from lamplighter.web import Caller, Role, dashboard

AT = "/admin/queues"
OTHER = "tidewater-clinic"
LOOKERS = {role.value: Caller(user_id=f"auth|{role}", role=role, tenants=frozenset({TENANT})) for role in Role}
PAGES = (
    "/",
    "/alerts",
    "/queues",
    "/queues/exports",
    "/jobs",
    "/failures",
    "/crons",
    "/workers",
    "/limits",
    "/tenants",
)
WITH_INTEGRATIONS = ("/integrations", "/files", "/notifications", "/analytics", "/audit", "/audit/keeping", "/upkeep")
PLACES_OF_CODE = r"<(script|style)(?![^>]*\ssrc=)[\s>]|\sstyle=|\son[a-z]+=|javascript:"


async def identify(request: Request) -> Caller | None:
    """As in no host: whoever looks is who it says it is, by header or by cookie."""
    return LOOKERS.get(request.headers.get("Caller") or request.cookies.get("caller", ""))


class Jobs:
    """What the app can do. `broken`: exports fail; `gate`: crawls wait for it."""

    def __init__(self, app: App[None]) -> None:
        self.broken = True
        self.gate = asyncio.Event()
        app.limit("provider", running=2, rate=Rate(1000, per=1))

        @app.job(queue="exports", retry=exponential(attempts=1), limits=["provider:{provider}"])
        async def export(ctx: Ctx[None], folder: str, provider: str = "lantern") -> str:
            if self.broken:
                raise ValueError(f"folder {folder!r} has no owner")
            return f"exported {folder}"

        @app.job(queue="mail")
        async def greet(ctx: Ctx[None], name: str) -> str:
            return f"Good evening, {name}"

        @app.job(queue="crawls")
        async def crawl(ctx: Ctx[None], site: str) -> None:
            ctx.progress(40, 100, note="forty of a hundred pages")
            await self.gate.wait()

        self.export, self.greet, self.crawl = export, greet, crawl
        app.cron("0 7 * * 1-5", greet.draft("early birds"), tz="Europe/Berlin", name="greet.weekdays")


class Board:
    """The dashboard, and its app."""

    def __init__(self, url: str, app: App[None], jobs: Jobs, tokens: TokenFamily | None) -> None:
        self.url = url
        self.app = app
        self.jobs = jobs
        self.tokens = tokens

    async def ask(
        self,
        who: str | None,
        path: str = "/",
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """One request, redirections not followed."""
        told = ({} if who is None else {"Caller": who}) | dict(headers or {})
        address = f"{self.url}{path}{'?' + urlencode(query) if query else ''}"
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:
            return await client.request(method, address, headers=told, data=form)

    async def page(self, path: str = "/", who: str = "viewer", **query: str) -> str:
        """A page that is there."""
        answer = await self.ask(who, path, query=query)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def post(self, path: str, who: str = "operator", **form: str) -> httpx2.Response:
        """Press a button, of a form that is filled in so."""
        return await self.ask(who, path, "POST", form=form)

    async def fail(self, *folders: str, tenant: str = TENANT) -> list[JobView]:
        """Exports of these that have failed for good, in that order."""
        handles = await self.app.enqueue(self.jobs.export.using(tenant=tenant).draft(one) for one in folders)
        await self.app.work(until_idle=True)
        failed = [await handle.view() for handle in handles]
        assert {one.state for one in failed} == {State.FAILED}
        return failed

    async def see(self, job_id: str) -> JobView:
        """A job as it is now."""
        [found] = await self.app.store.page(Where(ids=(job_id,)), limit=1)
        return found


class Counting:
    """A store that counts what it is asked."""

    def __init__(self, store: Any) -> None:
        self.asked: Counter[str] = Counter()
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)

        def call(*args: Any, **named: Any) -> Any:
            self.asked[name] += 1
            return found(*args, **named)

        return call if callable(found) else found


@asynccontextmanager
async def running_board(
    store: str,
    *,
    login_url: str | None = None,
    integrating: bool = False,
    callback_url: str | None = None,
    at: str = AT,
) -> AsyncIterator[Board]:
    """A dashboard for as long as the block lasts."""
    app = App(settings=Settings(store=store))
    tokens = TokenFamily(app) if integrating else None
    Alerting(app, tokens)
    jobs = Jobs(app)
    pages = dashboard(app, identify=identify, tokens=tokens, login_url=login_url, callback_url=callback_url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with app, served(Starlette(routes=[Mount(at, pages)]), listener):
            yield Board(url + at, app, jobs, tokens)


def buttons(page: str) -> list[str]:
    """What can be done on a page: where its forms are sent."""
    return re.findall(r'<form method="post" action="([^"]+)"', page)
