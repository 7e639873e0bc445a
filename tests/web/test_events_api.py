"""Events: whoever listens hears of what changes, at the price of one look for all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from tests.families.running import TENANT
from tests.web.site import Site, told

from lamplighter import Ctx
from lamplighter.core.model import Keep, Where
from lamplighter.web import event_stream, watch
from lamplighter.web.api import events
from lamplighter.web.event_stream import EventStream
from lamplighter.web.watch import Watch

C = Ctx[None]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come as soon as there is a hint."""
    monkeypatch.setattr(watch, "AT_MOST_EVERY", 0.0)
    monkeypatch.setattr(watch, "PROGRESS_EVERY", 0.02)


class Heard:
    """What a stream has said."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def event(self) -> tuple[str, Any]:
        """The next event, and its data."""
        name = ""
        async for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))
        raise EOFError

    async def comment(self) -> str:
        """The next line that is for nobody."""
        async for line in self._lines:
            if line.startswith(":"):
                return line
        raise EOFError


class Reports:
    """Jobs that run until they may end."""

    def __init__(self, site: Site) -> None:
        self.app = site.inside.app
        self.go_on = asyncio.Event()

        @self.app.job("report", queue="reports")
        async def report(ctx: C) -> None:
            ctx.progress(1, of=2)
            await self.go_on.wait()

        self.job = report

    async def add(self, tenant: str | None = None) -> str:
        """One more; its id."""
        job: Any = self.job if tenant is None else self.job.using(tenant=tenant)
        [handle] = await self.app.enqueue([job.draft()])
        return str(handle.id)


@pytest.fixture
def reports(site: Site) -> Reports:
    return Reports(site)


@asynccontextmanager
async def listening(site: Site, path: str, who: str = "viewer") -> AsyncIterator[Heard]:
    async with site.calling(who) as client, client.stream("GET", path) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield Heard(answer)


def waiting(queues: list[Any]) -> dict[str, int]:
    """How many wait in each."""
    return {one["queue"]: one["waiting"] for one in queues}


def watches(site: Site) -> list[Watch]:
    return list(site.api.state.watches.values())


async def until_nobody_looks(site: Site) -> None:
    async with asyncio.timeout(30):
        while any(one.is_looking for one in watches(site)):  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # a stream that was left says so to nobody


async def test_a_stream_begins_with_all_queues_and_tells_of_those_that_change(site: Site, reports: Reports) -> None:
    await reports.add()
    await site.inside.app.pause("other")
    async with listening(site, "/events") as heard:
        name, first = await heard.event()
        assert (name, waiting(first)) == ("queues", {"other": 0, "reports": 1, "tokens": 1})
        await reports.add()
        name, then = await heard.event()
        assert (name, waiting(then)) == ("queues", {"reports": 2})


async def test_all_who_listen_are_served_by_one_look_which_ends_with_the_last(site: Site, reports: Reports) -> None:
    await reports.add()
    async with listening(site, "/events") as one:
        async with listening(site, "/events", "superadmin") as other:
            assert await one.event() == await other.event()
            assert len(watches(site)) == 1
        await reports.add()
        assert waiting((await one.event())[1]) == {"reports": 2}
    await until_nobody_looks(site)
    async with listening(site, "/events") as again:
        assert waiting((await again.event())[1])["reports"] == 2


async def test_a_stream_that_has_nothing_to_say_says_that_it_is_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SILENCE", 0.01)
    async with listening(site, "/events") as heard:
        assert await heard.comment() == ": still here"


async def test_a_stream_ends_after_a_while_for_its_client_to_prove_itself_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LONGEST", 0.0)
    async with listening(site, "/events") as heard:
        with pytest.raises(EOFError):
            await heard.event()
    await until_nobody_looks(site)


async def test_no_more_listen_than_there_are_places_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST", 2)
    async with listening(site, "/events"), listening(site, "/events"):
        assert told(await site.glance("superadmin", "GET", "/events")) == (429, "events/too-many")
    await until_nobody_looks(site)
    async with listening(site, "/events"):
        pass


async def test_one_caller_does_not_take_the_places_of_all(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_OF_ONE", 1)
    async with listening(site, "/events"):
        assert told(await site.glance("viewer", "GET", "/events")) == (429, "events/too-many")
        async with listening(site, "/events", "superadmin"):
            pass


async def test_a_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "SLOWEST", 0.01)
    closed, left = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"more"
        finally:
            closed.set()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async with asyncio.timeout(30):
        await EventStream(endless(), left.set)({"type": "http"}, receive, send)
    assert closed.is_set()
    assert left.is_set()


async def test_a_job_is_followed_until_it_has_ended(site: Site, reports: Reports) -> None:
    job = await reports.add(TENANT)
    async with listening(site, f"/jobs/{job}/events", "owner") as heard:
        name, first = await heard.event()
        assert (name, first["id"], first["state"], first["args"]) == ("job", job, "queued", None)
        async with site.inside.app.worker(lease=timedelta(milliseconds=200)):
            seen = first
            while seen["progress"] is None:
                name, seen = await heard.event()
                assert (name, seen["state"]) == ("job", "running")
            assert (seen["progress"]["done"], seen["progress"]["of"]) == (1, 2)
            reports.go_on.set()
            while seen["state"] == "running":
                name, seen = await heard.event()
            assert (name, seen["state"]) == ("job", "done")
            with pytest.raises(EOFError):
                await heard.event()


async def test_a_followed_job_that_is_forgotten_is_gone(site: Site, reports: Reports) -> None:
    job = await reports.add()
    async with listening(site, f"/jobs/{job}/events") as heard:
        await heard.event()
        store, now = site.inside.app.store, site.inside.app.clock()
        await store.cancel(Where(ids=(job,)), limit=1, now=now, keep_until=now)
        await store.prune(Keep(), limit=10, now=now)
        while (found := await heard.event())[0] == "job":
            assert found[1]["state"] == "cancelled"
        assert found == ("gone", {"id": job})


@pytest.mark.parametrize("who", ["stranger", "nosy"])
async def test_nobody_follows_a_job_of_another_tenant(site: Site, reports: Reports, who: str) -> None:
    job = await reports.add(TENANT)
    assert told(await site.glance(who, "GET", f"/jobs/{job}/events")) == (404, "job/not-found")
    assert told(await site.glance(who, "GET", "/events")) == (403, "auth/insufficient-permissions")
