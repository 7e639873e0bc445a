"""A certified OpenID provider in a process of its own: it rotates refresh tokens, and reuse revokes the family.

Import it as `tests.oidc.oidc_server`; the fixture `oidc` starts one for a test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
from asyncio.subprocess import PIPE, Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from msgspec import Struct

from lamplighter.core.secret import Secret
from lamplighter.integrations.provider import Provider

SERVER = Path(__file__).with_name("server.mjs")
STARTING = 60  # seconds a server may take to start: a fraction of one, unless every core is busy
STOPPING = 5  # seconds it may take to stop
LIFETIME = 60  # seconds an access token lives

# Every kind of character that basic authentication must encode, so that a wrong encoding cannot pass by luck.
CLIENT_ID = "lamp:lighter"
CLIENT_SECRET = "s3cr:t &+%/=?"
CREDENTIALS = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
SCOPES = ("openid", "offline_access")


class Connection(Struct, frozen=True, kw_only=True):
    """What a service holds after a user has connected an account. `expires_in` is in seconds."""

    account: str
    access_token: Secret
    refresh_token: Secret
    expires_in: int


class TokenRequest(Struct, frozen=True, kw_only=True):
    """A token request that the server has seen.

    `account` is None where the token is none of this server's. `outcome`: "ok", an OAuth error code such as
    "invalid_grant", "http_503" for an ordered fault, or "lost".
    """

    account: str | None
    grant_type: str
    outcome: str


class OidcServer(Struct, frozen=True):
    """A running server: what it is to Lamplighter, and what a test may do to it."""

    url: str
    pid: int

    def provider(self, **changes: Any) -> Provider:
        """The server as a provider that Lamplighter is a client of; `changes` are fields of Provider."""
        provider = Provider(
            slug="oidc",
            display_name="OpenID",
            auth_url=f"{self.url}/auth",
            token_url=f"{self.url}/token",
            revoke_url=f"{self.url}/token/revocation",
            health_url=f"{self.url}/me",
            scopes=SCOPES,
            client_auth="basic",
            rotates=True,
            default_lifetime=LIFETIME,
            client_id=CLIENT_ID,
            client_secret=Secret(CLIENT_SECRET),
        )
        return msgspec.structs.replace(provider, **changes)

    async def connect(self, account: str) -> Connection:
        """Let the user sign in and consent as a browser would, and exchange the code: a new grant at each call."""
        async with self._client() as browser:
            code = await self._consent(browser, account)
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": f"{self.url}/callback"}
            answer = await _post(browser, "/token", data=form | CREDENTIALS)
        return Connection(
            account=account,
            access_token=Secret(answer["access_token"]),
            refresh_token=Secret(answer["refresh_token"]),
            expires_in=answer["expires_in"],
        )

    async def revoke(self, account: str) -> None:
        """End every grant of the account, as its user can in the provider's settings."""
        async with self._client() as http:
            answer = await _post(http, "/control/withdraw", json={"account": account})
        assert answer["grants"], f"{account} has no grant here: connect it first."

    async def revoke_token(self, token: Secret) -> None:
        """Revoke one token (RFC 7009), as its client can. A refresh token takes its grant with it."""
        async with self._client() as http:
            response = await http.post("/token/revocation", data={"token": token.reveal()} | CREDENTIALS)
            response.raise_for_status()

    async def is_honoured(self, access_token: Secret) -> bool:
        """Whether the access token opens anything."""
        async with self._client() as http:
            response = await http.get("/me", headers={"Authorization": f"Bearer {access_token.reveal()}"})
        assert response.status_code in {200, 401}
        return response.status_code == 200

    async def fail_next(self, status: int, retry_after: int | str | None = None, count: int | None = 1) -> None:
        """Refuse the next `count` token requests, `connect` included; None: all until `recover`."""
        await self._order(status, None if retry_after is None else str(retry_after), count)

    async def lose_next(self, count: int | None = 1) -> None:
        """Carry the next `count` token requests out, but hang up instead of answering."""
        await self._order(None, None, count)

    async def recover(self) -> None:
        """Answer token requests again."""
        async with self._client() as http:
            (await http.delete("/control/faults")).raise_for_status()

    async def requests(self) -> list[TokenRequest]:
        """Every token request so far, the oldest first."""
        async with self._client() as http:
            response = await http.get("/control/requests")
        return msgspec.json.decode(response.content, type=list[TokenRequest])

    async def counts(self) -> dict[str | None, Counter[str]]:
        """How often each account's refresh had each outcome; an account without any is not there."""
        counts: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
        for request in await self.requests():
            if request.grant_type == "refresh_token":
                counts[request.account][request.outcome] += 1
        return dict(counts)

    def _client(self) -> httpx2.AsyncClient:
        """A client without cookies, so that each user has a browser of their own."""
        return httpx2.AsyncClient(base_url=self.url, timeout=STARTING, verify=False, trust_env=False)

    async def _consent(self, browser: httpx2.AsyncClient, account: str) -> str:
        query = {
            "client_id": CLIENT_ID,
            "response_type": "code",
            "redirect_uri": f"{self.url}/callback",
            "scope": " ".join(SCOPES),
            "prompt": "consent",  # without it, OpenID Connect Core 11 has offline_access ignored
            "state": secrets.token_urlsafe(),
            "login_hint": account,
        }
        response = await browser.get("/auth", params=query, follow_redirects=True)
        answer = response.raise_for_status().json()
        assert answer["state"] == query["state"]
        return str(answer["code"])

    async def _order(self, status: int | None, retry_after: str | None, count: int | None) -> None:
        assert count is None or count > 0, "count is how many requests to refuse: 1 or more, or None for all."
        order = {"status": status, "retry_after": retry_after, "count": count}
        async with self._client() as http:
            await _post(http, "/control/faults", json=order)


async def _post(http: httpx2.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    response = await http.post(path, **body)
    answer: dict[str, Any] = response.raise_for_status().json()
    return answer


@contextlib.asynccontextmanager
async def running_server(lifetime: int = LIFETIME) -> AsyncIterator[OidcServer]:
    """A server that lasts as long as the block, and no longer than this process. Needs the fixture `node_modules`.

    `lifetime`: seconds that its access tokens live.
    """
    settings = {"client": {"id": CLIENT_ID, "secret": CLIENT_SECRET}, "lifetime": lifetime}
    process = await asyncio.create_subprocess_exec(
        *(_node(), str(SERVER), json.dumps(settings)), stdin=PIPE, stdout=PIPE, env=_environment()
    )
    try:
        yield await _announced(process)
    finally:
        await _stop(process)


def _node() -> str:
    node = shutil.which("node")
    assert node is not None
    return node


def _environment() -> dict[str, str]:
    """Ours, without what makes Node or a package talkative: a version manager's `node` needs the rest."""
    ours = {name: value for name, value in os.environ.items() if name not in {"DEBUG", "NODE_DEBUG", "NODE_OPTIONS"}}
    return ours | {"NODE_NO_WARNINGS": "1"}


async def _announced(process: Process) -> OidcServer:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), STARTING)
    assert line, "the OpenID provider did not start: what it wrote to standard error says why."
    return msgspec.json.decode(line, type=OidcServer)


async def _stop(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.communicate(), STOPPING)
    except TimeoutError:
        process.kill()
        await process.communicate()
