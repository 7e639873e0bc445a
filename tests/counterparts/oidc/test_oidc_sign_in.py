"""The code flow without a browser, and revocations as the provider saw them."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from tests.counterparts.fixtures import StartProxy
from tests.counterparts.oidc.oidc_server import (
    CLIENT_ID,
    CREDENTIALS,
    REDIRECT_URI,
    SCOPES,
    OidcServer,
    Revocation,
    running_server,
)

from lamplighter.core.secret import Secret

VERIFIER = secrets.token_urlsafe(32)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def authorize_url(server_url: str, redirect_uri: str = REDIRECT_URI) -> str:
    """As a service makes it that keeps state and verifier to itself."""
    query = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "scope": " ".join(SCOPES),
        "prompt": "consent",
        "state": "the state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"{server_url}/auth?{urlencode(query)}"


async def exchange(
    http: httpx2.AsyncClient, oidc: OidcServer, code: str, verifier: str, redirect_uri: str = REDIRECT_URI
) -> dict[str, Any]:
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": redirect_uri}
    answer: dict[str, Any] = (await http.post(f"{oidc.url}/token", data=form | CREDENTIALS)).json()
    return answer


async def test_a_user_who_agrees_brings_a_code_for_whoever_has_the_verifier(
    oidc: OidcServer, http: httpx2.AsyncClient
) -> None:
    answer = await oidc.sign_in(authorize_url(oidc.url), "ada")
    assert answer["state"] == "the state"
    tokens = await exchange(http, oidc, answer["code"], VERIFIER)
    assert await oidc.is_honoured(Secret(tokens["access_token"]))
    assert "refresh_token" in tokens
    [request] = await oidc.requests()
    assert (request.account, request.outcome) == ("ada", "ok")


async def test_a_code_is_worth_nothing_without_its_verifier(oidc: OidcServer, http: httpx2.AsyncClient) -> None:
    answer = await oidc.sign_in(authorize_url(oidc.url), "ada")
    assert (await exchange(http, oidc, answer["code"], secrets.token_urlsafe(32)))["error"] == "invalid_grant"


async def test_a_user_who_does_not_agree_brings_access_denied(oidc: OidcServer) -> None:
    answer = await oidc.sign_in(authorize_url(oidc.url), "ada", consents=False)
    assert (answer["error"], answer["state"]) == ("access_denied", "the state")
    assert "code" not in answer
    assert "code" in await oidc.sign_in(authorize_url(oidc.url), "ada")


async def test_any_of_the_registered_redirect_uris_will_do(node_modules: None, http: httpx2.AsyncClient) -> None:
    ours = ["https://lamplighter.example/callback", "http://127.0.0.1:8080/callback?of=lamplighter"]
    async with running_server(redirect_uris=ours) as server:
        for uri in ours:
            answer = await server.sign_in(authorize_url(server.url, uri), "ada")
            assert "access_token" in await exchange(http, server, answer["code"], VERIFIER, uri)
        with pytest.raises(AssertionError, match="redirect_uri"):
            await server.sign_in(authorize_url(server.url, "https://elsewhere.example/"), "ada")


async def test_one_may_sign_in_through_a_proxy(oidc: OidcServer, start_proxy: StartProxy) -> None:
    proxy = await start_proxy(oidc.url)
    assert "code" in await oidc.sign_in(authorize_url(proxy.url), "ada")
    assert proxy.statuses("/auth") == [303, 303]
    assert proxy.statuses("/consent") == [303]


async def test_revocations_are_remembered_with_whose_token_it_was(oidc: OidcServer, http: httpx2.AsyncClient) -> None:
    ada, bob = await oidc.connect("ada"), await oidc.connect("bob")
    await oidc.revoke_token(ada.refresh_token)
    await oidc.revoke_token(bob.access_token)
    await oidc.revoke_token(Secret("never-issued-here"))
    wrong = CREDENTIALS | {"client_secret": "wrong"}
    await http.post(f"{oidc.url}/token/revocation", data={"token": bob.refresh_token.reveal()} | wrong)
    assert await oidc.revocations() == [
        Revocation(account="ada", kind="refresh_token", outcome="ok"),
        Revocation(account="bob", kind="access_token", outcome="ok"),
        Revocation(account=None, kind=None, outcome="ok"),
        Revocation(account="bob", kind="refresh_token", outcome="invalid_client"),
    ]
    assert not await oidc.is_honoured(ada.access_token)
