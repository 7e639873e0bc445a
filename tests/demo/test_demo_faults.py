from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from lamplighter.demo.catalog import GRANTS
from lamplighter.demo.client import ask_drive, ask_refresh, ask_token, cause, connect, count_requests
from lamplighter.demo.faults import FAULTS, Cue, Outage, Revocation
from lamplighter.demo.world import World, running_world

STORMY, CALM = "stormy-drive", "lantern-drive"


async def until(status: int, ask: Callable[[], Awaitable[httpx2.Response]]) -> None:
    async with asyncio.timeout(20):
        while (await ask()).status_code != status:  # noqa: ASYNC110 - another process: it has no event to wait for
            await asyncio.sleep(0.02)


async def test_an_outage_answers_503_with_retry_after_and_heals(world: World, http: httpx2.AsyncClient) -> None:
    grant = await connect(http, world.url, STORMY, "ada")
    elsewhere = await connect(http, world.url, CALM, "ada")
    await cause(http, world.url, Outage(provider=STORMY, seconds=60, retry_after=7))
    for answer in (
        await ask_refresh(http, world.url, STORMY, grant),
        await ask_drive(http, world.url, STORMY, grant, "about"),
    ):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert (await ask_drive(http, world.url, CALM, elsewhere, "about")).status_code == 200
    counts = await count_requests(http, world.url, STORMY)
    assert (counts.outcomes, counts.turned_away) == ({"ok": 1, "outage": 1}, 2)

    await cause(http, world.url, Outage(provider=STORMY, seconds=0.1, status=429, retry_after=None))
    await until(200, lambda: ask_drive(http, world.url, STORMY, grant, "about"))
    assert (await ask_refresh(http, world.url, STORMY, grant)).status_code == 200  # the outage spent no token


async def test_an_outage_has_the_status_it_is_given(world: World, http: httpx2.AsyncClient) -> None:
    await cause(http, world.url, Outage(provider=STORMY, seconds=60, status=429, retry_after=None))
    answer = await ask_token(http, world.url, STORMY, grant_type="refresh_token")
    assert answer.status_code == 429
    assert "Retry-After" not in answer.headers


async def test_a_revoked_user_is_refused_until_the_next_consent(world: World, http: httpx2.AsyncClient) -> None:
    ada, bruno = [await connect(http, world.url, CALM, user) for user in ("ada", "bruno")]
    await cause(http, world.url, Revocation(provider=CALM, user="ada"))
    assert (await ask_refresh(http, world.url, CALM, ada)).json() == {"error": "invalid_grant"}
    assert (await ask_drive(http, world.url, CALM, ada, "about")).status_code == 401
    assert (await ask_refresh(http, world.url, CALM, bruno)).status_code == 200
    assert (await count_requests(http, world.url, CALM)).reuses == 0

    again = await connect(http, world.url, CALM, "ada")
    assert (await ask_drive(http, world.url, CALM, again, "about")).status_code == 200


async def test_a_script_plays_by_itself(http: httpx2.AsyncClient) -> None:
    script = (Cue(0, Outage(provider=STORMY, seconds=60)), Cue(0.2, Outage(provider=CALM, seconds=60)))
    async with running_world(script) as world:
        assert (await ask_token(http, world.url, STORMY, grant_type="refresh_token")).status_code == 503
        await until(503, lambda: ask_token(http, world.url, CALM, grant_type="refresh_token"))


async def test_a_token_works_until_it_expires_and_a_refresh_brings_the_next(http: httpx2.AsyncClient) -> None:
    async with running_world(faults=False, token_lifetime=1) as world:
        grant = await connect(http, world.url, CALM, "ada")
        assert grant.expires_in == 1
        assert (await ask_drive(http, world.url, CALM, grant, "about")).status_code == 200
        await until(401, lambda: ask_drive(http, world.url, CALM, grant, "about"))
        assert (await ask_refresh(http, world.url, CALM, grant)).status_code == 200


@pytest.mark.parametrize(("path", "body", "status"), [
    ("outage", {"provider": "nowhere", "seconds": 1}, 404),
    ("outage", {"provider": STORMY, "seconds": -1}, 400),
    ("outage", {"provider": STORMY, "seconds": 1, "status": 200}, 400),
    ("outage", {"provider": STORMY, "seconds": 1, "colour": "red"}, 400),
    ("revoke", {"provider": STORMY}, 400),
])  # fmt: skip
async def test_the_operator_is_told_of_a_fault_that_cannot_be(
    world: World, http: httpx2.AsyncClient, path: str, body: dict[str, object], status: int
) -> None:
    assert (await http.post(f"{world.url}/_world/{path}", json=body)).status_code == status


def test_the_usual_script_revokes_a_grant_that_exists_and_takes_the_stormy_drive_away() -> None:
    outage, revocation = (cue.fault for cue in FAULTS)
    assert isinstance(revocation, Revocation)
    assert (revocation.provider, revocation.user) in {(grant.provider, grant.user) for grant in GRANTS}
    assert isinstance(outage, Outage)
    assert outage.provider == STORMY
