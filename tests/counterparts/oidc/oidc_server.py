"""A certified OpenID provider in a process of its own: it rotates refresh tokens, and reuse revokes the family.

The fixture `oidc` starts one for a test.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx2
import msgspec
from msgspec import Struct
from tests.counterparts.process import STARTING, Server, running

from lamplighter.core.secret import Secret
from lamplighter.integrations.provider import Provider

SERVER = Path(__file__).with_name("server.mjs")
LIFETIME = 60  # seconds an access token lives

# Every kind of character that basic authentication must encode, so that a wrong encoding cannot pass by luck.
CLIENT_ID = "lamp:lighter"
CLIENT_SECRET = "s3cr:t &+%/=?"
CREDENTIALS = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
SCOPES = ("openid", "offline_access")
REDIRECT_URI = "https://lamplighter.example/oauth/callback"  # nobody goes there: `sign_in` ends before


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


class Revocation(Struct, frozen=True, kw_only=True):
    """A revocation request (RFC 7009) that the server has seen.

    `account` and `kind` are None where the token is none of this server's, which is "ok" as well; any other `outcome`
    is an OAuth error code such as "invalid_client".
    """

    account: str | None
    kind: Literal["access_token", "refresh_token", "authorization_code"] | None
    outcome: str


class OidcServer(Server, frozen=True):
    """A running server: what it is to Lamplighter, and what a test may do to it."""

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

    async def connect(self, account: str, redirect_uri: str = REDIRECT_URI) -> Connection:
        """Let the user sign in and consent as a browser would, and exchange the code: a new grant at each call."""
        answer = await self.sign_in(self._authorize_url(redirect_uri), account)
        form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": redirect_uri}
        async with self._client() as http:
            tokens = await _post(http, "/token", data=form | CREDENTIALS)
        return Connection(
            account=account,
            access_token=Secret(tokens["access_token"]),
            refresh_token=Secret(tokens["refresh_token"]),
            expires_in=tokens["expires_in"],
        )

    async def sign_in(self, authorize_url: str, account: str, *, consents: bool = True) -> dict[str, str]:
        """Open the URL as a browser would, sign in as that user, and agree or not.

        Returns the query of the redirect to the URL's own `redirect_uri`, where nobody goes: `code` and `state`, or
        `error` ("access_denied" if the user does not agree) and `state`. It fails if the server sends nobody back,
        as for a `redirect_uri` that is not registered.
        """
        ours = dict(parse_qsl(urlsplit(authorize_url).query))["redirect_uri"]
        async with self._client() as browser:
            browser.headers.update({"Account": account, "Consents": "yes" if consents else "no"})
            place = authorize_url
            while _page(place) != _page(ours):
                response = await browser.get(place)
                assert response.has_redirect_location, f"{response.status_code} at {_page(place)}: {response.text}"
                place = urljoin(place, response.headers["Location"])
        return dict(parse_qsl(urlsplit(place).query, keep_blank_values=True))

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

    async def revocations(self) -> list[Revocation]:
        """Every revocation request so far, the oldest first. The grants that `revoke` ended are none."""
        async with self._client() as http:
            response = await http.get("/control/revocations")
        return msgspec.json.decode(response.content, type=list[Revocation])

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

    def _authorize_url(self, redirect_uri: str) -> str:
        query = {
            "client_id": CLIENT_ID,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "scope": " ".join(SCOPES),
            "prompt": "consent",  # without it, OpenID Connect Core 11 has offline_access ignored
            "state": secrets.token_urlsafe(),
        }
        return f"{self.url}/auth?{urlencode(query)}"

    async def _order(self, status: int | None, retry_after: str | None, count: int | None) -> None:
        assert count is None or count > 0, "count is how many requests to refuse: 1 or more, or None for all."
        order = {"status": status, "retry_after": retry_after, "count": count}
        async with self._client() as http:
            await _post(http, "/control/faults", json=order)


def _page(url: str) -> str:
    return url.partition("?")[0]


async def _post(http: httpx2.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    response = await http.post(path, **body)
    answer: dict[str, Any] = response.raise_for_status().json()
    return answer


@contextlib.asynccontextmanager
async def running_server(
    lifetime: int = LIFETIME,
    redirect_uris: Sequence[str] = (REDIRECT_URI,),
    *,
    signed_out_uris: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> AsyncIterator[OidcServer]:
    """A server that lasts as long as the block, and no longer than this process. Needs the fixture `node_modules`.

    `lifetime`: seconds that its access and ID tokens live. `redirect_uris`: where Lamplighter's users may be sent back
    to; `signed_out_uris`: where to when they have signed out. `groups`: a claim of its ID tokens, by account.
    """
    client = {"id": CLIENT_ID, "secret": CLIENT_SECRET}
    settings = {
        "client": client,
        "lifetime": lifetime,
        "redirect_uris": redirect_uris,
        "signed_out_uris": signed_out_uris,
        "groups": dict(groups),
    }
    async with running(OidcServer, SERVER, settings) as server:
        yield server
