"""An app with some jobs and no integrations, and its API on a port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from json import dumps
from typing import Any

import httpx2
from tests.families.running import SOON
from tests.web.site import identify, served, told

from lamplighter import App, Ctx, never
from lamplighter.core.clock import Clock
from lamplighter.core.config import Settings
from lamplighter.web import http_api

C = Ctx[None]


class Errands:
    """The open app, who calls, and a door at which a job waits until it is opened."""

    def __init__(self, app: App[None], url: str) -> None:
        self.app = app
        self.url = url
        self.began = asyncio.Event()
        self.door = asyncio.Event()

        @app.job()
        async def greet(ctx: C, name: str, times: int = 1) -> str:
            return f"Good evening, {name}" * times

        @app.job(queue="money", retry=never)
        async def charge(ctx: C, card: str) -> None:
            raise ValueError(f"the card {card} is declined")

        @app.job(unique="report:{month}", when_held="replace")
        async def report(ctx: C, month: int, style: str = "plain") -> None: ...

        @app.job()
        async def clerk(ctx: C) -> None:
            for number in (1, 2, 3):
                ctx.log.info("line %d", number, files=number)

        @app.job()
        async def wait(ctx: C) -> str:
            self.began.set()
            await self.door.wait()
            return "the door is open"

        self.greet, self.charge, self.report, self.wait = greet, charge, report, wait

    async def ask(self, who: str | None, method: str, path: str, json: object = None, **more: Any) -> httpx2.Response:
        """One call, with `headers` and `params` if they are given."""
        headers = {} if who is None else {"Caller": who}
        headers |= more.pop("headers", {})
        if json is not None:  # in ASCII, so that a test can send what is no text
            more["content"], headers["Content-Type"] = dumps(json), "application/json"
        async with httpx2.AsyncClient(base_url=f"{self.url}/api/v1", timeout=90, trust_env=False) as client:
            return await client.request(method, path, headers=headers, **more)

    async def data(self, who: str, method: str, path: str, json: object = None, **more: Any) -> Any:
        """What a call that goes well answers."""
        answer = await self.ask(who, method, path, json, **more)
        assert answer.is_success, answer.text
        return told(answer)[1]

    async def enqueue(self, name: str, args: Mapping[str, object], who: str = "operator", **options: object) -> str:
        """The id of a new job."""
        added = await self.data(who, "POST", "/jobs", {"name": name, "args": args, "options": options})
        assert added["created"]
        return str(added["id"])

    async def states(self) -> dict[str, str]:
        """Of all jobs, by id."""
        jobs = (await self.ask("operator", "GET", "/jobs?limit=500")).json()["data"]
        return {job["id"]: job["state"] for job in jobs}

    async def over(self, action: str) -> dict[str, Any]:
        """The action, once it has come to its end."""
        async with asyncio.timeout(SOON):
            while (seen := await self.data("viewer", "GET", f"/actions/{action}"))["state"] == "running":  # noqa: ASYNC110 - any process may do it
                await asyncio.sleep(0.01)
        return dict(seen)


@asynccontextmanager
async def errands_at(store: str, *, clock: Clock | None = None) -> AsyncIterator[Errands]:
    """For as long as the block lasts. Several may be open on one store: each is as good as a process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app: App[None] = App(store, settings=Settings(), clock=clock)
        errands = Errands(app, f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with app, served(http_api(app, identify=identify, for_tenants=["greet", "report"]), listener):
            yield errands
