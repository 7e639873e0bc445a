"""Probes: a process is up, and can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from tests.web.site import Site

from lamplighter import App, StoreUnavailable
from lamplighter.core.config import Settings
from lamplighter.integrations.storage import migrate
from lamplighter.web import http_api
from lamplighter.web.api import probes


class Moody:
    """A store that answers, or says that it cannot, or says nothing."""

    def __init__(self) -> None:
        self.asked = 0
        self.mood = "well"

    async def records(self, *_: Any, **__: Any) -> list[Any]:
        self.asked += 1
        if self.mood == "silent":
            await asyncio.Event().wait()
        if self.mood == "away":
            raise StoreUnavailable("the server at db.internal:5432 does not answer.")
        return []


@pytest.fixture
def store() -> Moody:
    return Moody()


@pytest.fixture
async def api(store: Moody) -> FastAPI:
    async def nobody(_: object) -> None:
        return None

    app: Any = App("memory://", settings=Settings())
    app.store = store
    return http_api(app, identify=nobody)


@pytest.fixture
async def client(api: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=api), base_url="http://here") as opened:
        yield opened


async def test_a_process_is_healthy_whatever_its_store_does(client: httpx2.AsyncClient, store: Moody) -> None:
    store.mood = "silent"
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()["data"]) == (200, {"status": "ok"})
    assert store.asked == 0


async def test_a_process_whose_store_answers_is_ready(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["data"]) == (200, {"status": "ready"})


@pytest.mark.parametrize("mood", ["away", "silent"])
async def test_one_whose_store_does_not_answer_is_not_ready_and_tells_strangers_no_more(
    client: httpx2.AsyncClient, store: Moody, monkeypatch: pytest.MonkeyPatch, mood: str
) -> None:
    monkeypatch.setattr(probes, "PATIENCE", 0.01)
    store.mood = mood
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server/not-ready")
    assert "db.internal" not in answer.text


async def test_however_many_ask_the_store_is_asked_once_in_a_while(
    client: httpx2.AsyncClient, store: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "GOOD_FOR", 60)
    answers = await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
    assert {one.status_code for one in answers} == {200}
    assert store.asked == 1


async def test_it_is_looked_at_again_after_a_while(
    client: httpx2.AsyncClient, store: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "GOOD_FOR", -1)
    assert (await client.get("/readyz")).status_code == 200
    store.mood = "away"
    assert (await client.get("/readyz")).status_code == 503
    store.mood = "well"
    assert (await client.get("/readyz")).status_code == 200


async def test_one_whose_tables_are_of_another_version_is_not_ready(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "GOOD_FOR", -1)
    at = site.url + "/cloud/readyz"
    async with httpx2.AsyncClient() as client:
        assert (await client.get(at)).status_code == 200
        monkeypatch.setattr(migrate, "newest", lambda: "of tomorrow")
        assert (await client.get(at)).status_code == 503
