"""The whole token family against a certified provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.counterparts.oidc.oidc_server import OidcServer, running_server
from tests.families.running import Running, in_file, running

from lamplighter.core.model import State, Where
from lamplighter.integrations.integration import Integration


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(in_file(tmp_path)) as opened:
        yield opened


async def consent(it: Running, oidc: OidcServer, account: str = "ada") -> Integration:
    """Connect an account by its real code flow, due at once."""
    connection = await oidc.connect(account)
    return await it.connect(oidc.provider(), connection.access_token, connection.refresh_token)


async def test_three_rotations_are_chained_by_their_jobs(it: Running, node_modules: None) -> None:
    async with running_server(lifetime=3) as oidc:
        integration = await consent(it, oidc)
        async with it.app.worker():
            await it.until("done", 3)
        counts = await oidc.counts()
        access = await it.tokens.service.integrations.access(integration.id)
        assert access is not None
        assert counts["ada"]["ok"] >= 3
        assert set(counts["ada"]) == {"ok"}
    assert (await it.see(integration)).status == "active"


async def test_two_workers_racing_for_one_integration_keep_its_family(tmp_path: Path, oidc: OidcServer) -> None:
    async with running(in_file(tmp_path)) as one, running(in_file(tmp_path)) as other:
        integration = await consent(one, oidc)
        async with one.app.worker(), other.app.worker():
            await asyncio.gather(*(process.refresh_without_key([integration], 10) for process in (one, other)))
        assert (await one.see(integration)).status == "active"
        access = await one.tokens.service.integrations.access(integration.id)
    assert access is not None
    assert await oidc.is_honoured(access.access_token)
    assert set((await oidc.counts())["ada"]) == {"ok"}


async def test_a_revoked_grant_ends_as_revoked_after_one_request(it: Running, oidc: OidcServer) -> None:
    integration = await consent(it, oidc)
    await oidc.revoke("ada")
    async with it.app.worker():
        await it.until("cancelled")
    assert (await it.see(integration)).status == "revoked"
    assert await it.planned() == []
    assert sum(request.grant_type == "refresh_token" for request in await oidc.requests()) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_to_wait_costs_no_attempt(it: Running, oidc: OidcServer, status: int) -> None:
    integration = await consent(it, oidc)
    await oidc.fail_next(status, retry_after=1, count=2)
    async with it.app.worker():
        await it.until("snoozed")
        await it.until("done")
    [ended] = await it.app.store.page(Where(names=("tokens.refresh",), states=(State.DONE,)), limit=10)
    assert (ended.failures, ended.crashes) == (0, 0)
    assert (await it.see(integration)).token_version == integration.token_version + 1
    assert (await oidc.counts())["ada"][f"http_{status}"] == 2
