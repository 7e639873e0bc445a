"""npm's `oauth2-mock-server` in a process of its own: a token endpoint that says yes, or whatever it is told to.

It knows no clients and no grants: any credentials and any refresh token will do, and every answer has a new refresh
token. What it cannot do itself (headers, silence, hanging up), a fault proxy before it can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import msgspec
from msgspec import Struct
from tests.counterparts.process import STARTING, Server

from lamplighter.core.secret import Secret
from lamplighter.integrations.provider import Provider

SCRIPT = Path(__file__).with_name("oauth2.mjs")
LIFETIME = 3600  # seconds that its access tokens live


class Answered(Struct, frozen=True):
    """A token request that it answered: its form, as it came, and the status."""

    form: dict[str, str]
    status: int


class OAuth2Server(Server, frozen=True):
    """A running server: what it is to Lamplighter, and what a test may order there."""

    def provider(self, **changes: Any) -> Provider:
        """The server as a provider that Lamplighter is a client of; `changes` are fields of Provider."""
        provider = Provider(
            slug="yes-man",
            display_name="Yes Man",
            auth_url=f"{self.url}/authorize",
            token_url=f"{self.url}/token",
            revoke_url=f"{self.url}/revoke",
            health_url=f"{self.url}/userinfo",
            rotates=True,
            max_per_second=1000,
            client_id="lamplighter",
            client_secret=Secret("hush"),
        )
        return msgspec.structs.replace(provider, **changes)

    async def refuse_next(self, status: int, body: dict[str, Any], count: int | None = 1) -> None:
        """Answer the next `count` token requests with this; None: all until `recover`."""
        await self._order(status, body, {}, count)

    async def change_next(self, changes: dict[str, Any], count: int | None = 1) -> None:
        """Say yes to the next `count`, but with these fields: `access_token="valid-token"` is one for the drives."""
        await self._order(200, None, changes, count)

    async def recover(self) -> None:
        """Say yes again."""
        async with self._client() as http:
            (await http.delete("/control/orders")).raise_for_status()

    async def requests(self) -> list[Answered]:
        """Every token request that it answered so far, the oldest first."""
        async with self._client() as http:
            response = await http.get("/control/requests")
        return msgspec.json.decode(response.content, type=list[Answered])

    async def sign(self, **claims: Any) -> str:
        """A token of this issuer with these claims, good for an hour."""
        async with self._client() as http:
            response = (await http.post("/control/tokens", json=claims)).raise_for_status()
        return str(response.json()["token"])

    async def rotate(self, alg: str) -> None:
        """Sign with a new key from now on, for that algorithm."""
        async with self._client() as http:
            (await http.post("/control/keys", json={"alg": alg})).raise_for_status()

    async def _order(
        self, status: int, body: dict[str, Any] | None, changes: dict[str, Any], count: int | None
    ) -> None:
        order = {"status": status, "body": body, "changes": changes, "count": count}
        async with self._client() as http:
            (await http.post("/control/orders", json=order)).raise_for_status()

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, timeout=STARTING, verify=False, trust_env=False)
