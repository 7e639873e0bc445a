"""The counterpart itself: what other tests rely on without looking."""

from __future__ import annotations

import asyncio

import pytest
from tests.counterparts.oidc.oidc_server import OidcServer, TokenRequest, running_server

from lamplighter.core.secret import Secret


async def test_users_who_connect_at_once_keep_apart(oidc: OidcServer) -> None:
    accounts = [f"user-{number}" for number in range(20)]
    connections = await asyncio.gather(*(oidc.connect(account) for account in accounts))
    assert [connection.account for connection in connections] == accounts
    assert len({connection.refresh_token for connection in connections}) == 20
    exchanged = {(request.account, request.grant_type, request.outcome) for request in await oidc.requests()}
    assert exchanged == {(account, "authorization_code", "ok") for account in accounts}


async def test_revoking_one_account_leaves_the_others(oidc: OidcServer) -> None:
    ada, bob = await oidc.connect("ada"), await oidc.connect("bob")
    await oidc.revoke("ada")
    assert not await oidc.is_honoured(ada.access_token)
    assert await oidc.is_honoured(bob.access_token)


async def test_revoking_an_account_that_never_connected_is_a_mistake_of_the_test(oidc: OidcServer) -> None:
    with pytest.raises(AssertionError, match="connect it first"):
        await oidc.revoke("nobody")


async def test_a_server_of_short_tokens_says_so(node_modules: None) -> None:
    async with running_server(lifetime=3) as server:
        assert (await server.connect("ada")).expires_in == 3
        assert await server.requests() == [TokenRequest(account="ada", grant_type="authorization_code", outcome="ok")]


async def test_it_runs_without_a_word(node_modules: None, capfd: pytest.CaptureFixture[str]) -> None:
    async with running_server() as server:
        connection = await server.connect("ada")
        await server.is_honoured(Secret("nothing"))
        await server.revoke_token(connection.refresh_token)
    assert capfd.readouterr() == ("", "")
