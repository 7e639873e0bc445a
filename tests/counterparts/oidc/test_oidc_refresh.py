"""The token client against a certified provider: what rotation, reuse and revocation are when nobody imitates them."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.counterparts.oidc.oidc_server import LIFETIME, OidcServer

from lamplighter.core.secret import Secret
from lamplighter.integrations.oauth import (
    Ambiguous,
    GrantRevoked,
    OperatorFault,
    ProviderDown,
    TokenClient,
    TokenError,
    Tokens,
)
from lamplighter.integrations.provider import ClientAuth

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Refresher:
    """Refreshes at one server, as what Lamplighter is there."""

    def __init__(self, server: OidcServer, client: TokenClient) -> None:
        self.server = server
        self.client = client

    async def refresh(self, token: Secret, **changes: Any) -> Tokens:
        return await self.client.refresh(self.server.provider(**changes), token, lambda: NOW)

    async def fails(self, kind: type[TokenError], token: Secret, **changes: Any) -> TokenError:
        with pytest.raises(TokenError) as caught:
            await self.refresh(token, **changes)
        assert type(caught.value) is kind
        assert token.reveal() not in str(caught.value)
        return caught.value

    async def rotate(self, token: Secret) -> Secret:
        tokens = await self.refresh(token)
        assert tokens.refresh_token is not None
        return tokens.refresh_token


@pytest.fixture
def refresher(oidc: OidcServer, client: TokenClient) -> Refresher:
    return Refresher(oidc, client)


async def test_each_refresh_gives_the_token_for_the_next(oidc: OidcServer, refresher: Refresher) -> None:
    connection = await oidc.connect("ada")
    assert connection.expires_in == LIFETIME
    seen, token = {connection.refresh_token}, connection.refresh_token
    for _ in range(3):
        tokens = await refresher.refresh(token)
        assert tokens.refresh_token is not None
        token = tokens.refresh_token
        seen.add(token)
        assert tokens.expires_at == NOW + timedelta(seconds=LIFETIME)
        assert tokens.scope == "openid offline_access"
        assert tokens.warnings == ()
        assert await oidc.is_honoured(tokens.access_token)
    assert len(seen) == 4
    assert await oidc.counts() == {"ada": Counter(ok=3)}


async def test_reuse_of_a_spent_token_costs_the_account_its_whole_family(
    oidc: OidcServer, refresher: Refresher
) -> None:
    spent = (await oidc.connect("ada")).refresh_token
    tokens = await refresher.refresh(spent)
    assert tokens.refresh_token is not None
    assert (await refresher.fails(GrantRevoked, spent)).reason == "invalid_grant"
    await refresher.fails(GrantRevoked, tokens.refresh_token)
    assert not await oidc.is_honoured(tokens.access_token)
    assert await oidc.counts() == {"ada": Counter(ok=1, invalid_grant=2)}


async def test_two_refreshes_at_once_cost_the_account_its_grant(oidc: OidcServer, refresher: Refresher) -> None:
    token = (await oidc.connect("ada")).refresh_token
    results = await asyncio.gather(*(refresher.rotate(token) for _ in range(2)), return_exceptions=True)
    (won,) = [result for result in results if isinstance(result, Secret)]
    (_,) = [result for result in results if isinstance(result, GrantRevoked)]
    await refresher.fails(GrantRevoked, won)


async def test_one_accounts_reuse_is_nobody_elses_loss(oidc: OidcServer, refresher: Refresher) -> None:
    spent, other = (await oidc.connect("ada")).refresh_token, (await oidc.connect("bob")).refresh_token
    await refresher.rotate(spent)
    await refresher.fails(GrantRevoked, spent)
    await refresher.rotate(other)
    assert await oidc.counts() == {"ada": Counter(ok=1, invalid_grant=1), "bob": Counter(ok=1)}


async def test_a_user_who_withdraws_is_asked_once(oidc: OidcServer, refresher: Refresher) -> None:
    connection = await oidc.connect("ada")
    await oidc.revoke("ada")
    error = await refresher.fails(GrantRevoked, connection.refresh_token)
    assert error.reason == "invalid_grant"
    assert not await oidc.is_honoured(connection.access_token)
    assert await oidc.counts() == {"ada": Counter(invalid_grant=1)}


async def test_a_user_who_connects_again_starts_a_new_family(oidc: OidcServer, refresher: Refresher) -> None:
    old = (await oidc.connect("ada")).refresh_token
    await oidc.revoke("ada")
    new = (await oidc.connect("ada")).refresh_token
    await refresher.fails(GrantRevoked, old)
    await refresher.rotate(new)


async def test_a_token_revoked_at_its_endpoint_is_refused(oidc: OidcServer, refresher: Refresher) -> None:
    token = (await oidc.connect("ada")).refresh_token
    await oidc.revoke_token(token)
    await refresher.fails(GrantRevoked, token)
    assert await oidc.counts() == {"ada": Counter(invalid_grant=1)}


async def test_a_token_of_somewhere_else_is_refused(oidc: OidcServer, refresher: Refresher) -> None:
    await refresher.fails(GrantRevoked, Secret("never-issued-here"))
    assert await oidc.counts() == {None: Counter(invalid_grant=1)}


@pytest.mark.parametrize("status", [429, 503])
async def test_an_outage_says_how_long_to_wait_and_spends_nothing(
    oidc: OidcServer, refresher: Refresher, status: int
) -> None:
    token = (await oidc.connect("ada")).refresh_token
    await oidc.fail_next(status, retry_after=7)
    error = await refresher.fails(ProviderDown, token)
    assert error.reason == f"http_{status}"
    assert error.retry_after == timedelta(seconds=7)
    await refresher.rotate(token)
    assert await oidc.counts() == {"ada": Counter({f"http_{status}": 1, "ok": 1})}


async def test_an_outage_lasts_until_the_provider_recovers(oidc: OidcServer, refresher: Refresher) -> None:
    token = (await oidc.connect("ada")).refresh_token
    await oidc.fail_next(503, count=None)
    for _ in range(3):
        assert (await refresher.fails(ProviderDown, token)).retry_after is None
    await oidc.recover()
    await refresher.rotate(token)
    assert await oidc.counts() == {"ada": Counter(http_503=3, ok=1)}


async def test_an_answer_lost_after_rotation_is_ambiguous_and_a_second_try_ends_the_grant(
    oidc: OidcServer, refresher: Refresher
) -> None:
    token = (await oidc.connect("ada")).refresh_token
    await oidc.lose_next()
    assert (await refresher.fails(Ambiguous, token)).reason == "connection_lost"
    await refresher.fails(GrantRevoked, token)
    assert await oidc.counts() == {"ada": Counter(lost=1, invalid_grant=1)}


@pytest.mark.parametrize("client_auth", ["basic", "body"])
async def test_both_ways_of_authenticating_are_understood(
    oidc: OidcServer, refresher: Refresher, client_auth: ClientAuth
) -> None:
    token = (await oidc.connect("ada")).refresh_token
    tokens = await refresher.refresh(token, client_auth=client_auth)
    assert tokens.refresh_token != token


@pytest.mark.parametrize("client_auth", ["basic", "body"])
@pytest.mark.parametrize("change", [{"client_secret": Secret("wrong")}, {"client_id": "stranger"}])
async def test_a_wrong_set_up_is_the_operators_fault_and_spends_nothing(
    oidc: OidcServer, refresher: Refresher, client_auth: ClientAuth, change: dict[str, Any]
) -> None:
    token = (await oidc.connect("ada")).refresh_token
    error = await refresher.fails(OperatorFault, token, client_auth=client_auth, **change)
    assert error.reason == "invalid_client"
    await refresher.rotate(token)
    assert await oidc.counts() == {"ada": Counter(invalid_client=1, ok=1)}
