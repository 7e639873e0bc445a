"""A client of the demo world: consents for a user, asks for tokens, and plays the operator."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec

from lamplighter.core.errors import LamplighterError
from lamplighter.demo.catalog import CALLBACK, find_provider
from lamplighter.demo.faults import Fault, Outage
from lamplighter.demo.grants import MOST_USERS, Consents, TokenGrant
from lamplighter.demo.requests import Requests


async def connect(http: httpx2.AsyncClient, world_url: str, provider: str, user: str) -> TokenGrant:
    """Give the user's consent and exchange it for tokens: authorization code with PKCE (RFC 7636).

    Raises:
        ConfigError: there is no such provider.
        LamplighterError: the provider refused.
    """
    verifier = secrets.token_urlsafe(32)
    code = await ask_code(http, world_url, provider, user, verifier)
    answer = await ask_token(
        http,
        world_url,
        provider,
        grant_type="authorization_code",
        code=code,
        redirect_uri=CALLBACK,
        code_verifier=verifier,
    )
    if answer.status_code != 200:
        raise LamplighterError(f"{provider} answered {answer.status_code} to a new code: look for an outage.")
    return msgspec.json.decode(answer.content, type=TokenGrant)


async def consent(http: httpx2.AsyncClient, world_url: str, provider: str, users: Sequence[str]) -> list[TokenGrant]:
    """The tokens of many users who consent at once, without the way through code and token endpoint."""
    granted: list[TokenGrant] = []
    for first in range(0, len(users), MOST_USERS):
        some = Consents(provider=provider, users=list(users[first : first + MOST_USERS]))
        answer = await http.post(f"{world_url}/_world/consent", content=msgspec.json.encode(some))
        answer.raise_for_status()
        granted += msgspec.json.decode(answer.content, type=list[TokenGrant])
    return granted


async def ask_code(http: httpx2.AsyncClient, world_url: str, provider: str, user: str, verifier: str) -> str:
    """The user's consent as an authorization code, bound to the PKCE verifier.

    Raises:
        ConfigError: there is no such provider.
        LamplighterError: the provider refused.
    """
    query = {
        "response_type": "code",
        "client_id": find_provider(provider).client_id,
        "redirect_uri": CALLBACK,
        "login_hint": user,
        "code_challenge": _s256(verifier),
        "code_challenge_method": "S256",
    }
    answer = await http.get(f"{world_url}/{provider}/authorize", params=query, follow_redirects=False)
    codes = parse_qs(urlsplit(answer.headers.get("Location", "")).query).get("code")
    if not codes:
        raise LamplighterError(f"{provider} gave {user!r} no code ({answer.status_code}): use a short lower-case name.")
    return codes[0]


async def ask_token(http: httpx2.AsyncClient, world_url: str, provider: str, **form: str) -> httpx2.Response:
    """The token endpoint's answer to the form, the client authenticated the provider's way."""
    return await _post(http, world_url, provider, "token", form)


async def ask_refresh(http: httpx2.AsyncClient, world_url: str, provider: str, grant: TokenGrant) -> httpx2.Response:
    """The token endpoint's answer to the grant's refresh token, which a provider that rotates has then spent."""
    form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token or ""}
    return await ask_token(http, world_url, provider, **form)


async def ask_drive(
    http: httpx2.AsyncClient, world_url: str, provider: str, grant: TokenGrant, path: Literal["about", "files"]
) -> httpx2.Response:
    """The drive's answer to the grant's access token."""
    headers = {"Authorization": f"Bearer {grant.access_token}"}
    return await http.get(f"{world_url}/{provider}/drive/{path}", headers=headers)


async def ask_revocation(http: httpx2.AsyncClient, world_url: str, provider: str, token: str) -> httpx2.Response:
    """The revocation endpoint's answer; either token of a family will do."""
    return await _post(http, world_url, provider, "revoke", {"token": token})


async def cause(http: httpx2.AsyncClient, world_url: str, fault: Fault) -> None:
    """Let the fault happen now."""
    path = "outage" if isinstance(fault, Outage) else "revoke"
    answer = await http.post(f"{world_url}/_world/{path}", content=msgspec.json.encode(fault))
    answer.raise_for_status()


async def count_requests(http: httpx2.AsyncClient, world_url: str, provider: str) -> Requests:
    """What the provider was asked since the world started."""
    return (await count_all_requests(http, world_url))[provider]


async def count_all_requests(http: httpx2.AsyncClient, world_url: str) -> dict[str, Requests]:
    """What each provider was asked since the world started."""
    answer = await http.get(f"{world_url}/_world/requests")
    return msgspec.json.decode(answer.content, type=dict[str, Requests])


async def _post(
    http: httpx2.AsyncClient, world_url: str, provider: str, endpoint: str, form: dict[str, str]
) -> httpx2.Response:
    client = find_provider(provider)
    url = f"{world_url}/{provider}/{endpoint}"
    if client.client_auth == "basic":
        return await http.post(url, data=form, auth=(client.client_id, client.client_secret))
    return await http.post(url, data=form | {"client_id": client.client_id, "client_secret": client.client_secret})


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
