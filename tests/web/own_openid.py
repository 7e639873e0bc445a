"""An OpenID provider of the tests' own, for ID tokens that no certified one gives. Its keys and server are real."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.web.identity import Identity
from tests.web.site import served

from lamplighter.core.clock import Clock

CLIENT = "lamplighter"


class OwnOpenId:
    """Gives everybody the ID token that the test has put there. `describes`: changes to what it says of itself."""

    def __init__(self, clock: Clock, url: str) -> None:
        self.identity = Identity(clock)
        self.identity.add()
        self.url = url
        self.id_token: str | None = None
        self.describes: dict[str, Any] = {}
        self.is_down = False

    def sign(self, *how: Any, **claims: Any) -> str:
        """A good ID token, but for these claims and what else `Identity.sign` takes."""
        return self.identity.sign(*how, **{"iss": self.url, "aud": CLIENT, "sub": "ada"} | claims)

    def app(self) -> Starlette:
        """What it serves."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._describe),
                Route("/jwks", self.identity.show),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _describe(self, _request: Request) -> Response:
        if self.is_down:
            return Response(status_code=503)
        told = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "code_challenge_methods_supported": ["S256"],
        } | self.describes
        return JSONResponse({name: value for name, value in told.items() if value is not None})

    async def _token(self, _request: Request) -> Response:
        given = {"access_token": "unused", "token_type": "Bearer", "expires_in": 60, "id_token": self.id_token}
        return JSONResponse({name: value for name, value in given.items() if value is not None})


@asynccontextmanager
async def running_own_openid(clock: Clock) -> AsyncIterator[OwnOpenId]:
    """One for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        provider = OwnOpenId(clock, f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with served(provider.app(), listener):
            yield provider
