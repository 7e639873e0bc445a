"""An identity provider of the tests' own: real keys, and a real server that shows the public ones."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.web.site import served

from lamplighter.core.clock import Clock

AUDIENCE = "https://lamps.example/api"
ISSUER = "https://id.example/"
Key = RSAKey | ECKey


class Identity:
    """Signs what it is told, and counts who asks for its keys."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.url = ""
        self.keys: list[Key] = []
        self.asked = 0
        self.answer: Response | None = None
        """What it says instead of its keys."""
        self.asking = asyncio.Event()
        """Somebody has asked."""
        self.goes_on = asyncio.Event()
        """Until then it keeps who asks waiting."""
        self.goes_on.set()

    def add(self, alg: str = "RS256", /, **parameters: Any) -> Key:
        """A new key, with an id of its own."""
        about = {"kid": f"k-{len(self.keys)}", "use": "sig", "alg": alg} | parameters
        kind: Any = RSAKey if alg.startswith("RS") else ECKey
        key: Key = kind.generate_key(2048 if kind is RSAKey else "P-256", about)
        self.keys.append(key)
        return key

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good token; None leaves one out."""
        now = int(self._clock().timestamp())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "auth|1", "iat": now, "nbf": now, "exp": now + 3600}
        return {name: value for name, value in (good | changes).items() if value is not None}

    def sign(self, key: Key | None = None, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token signed by a key, by default the newest."""
        key = self.keys[-1] if key is None else key
        headers = {"alg": key.get("alg"), "kid": key.get("kid")} | (header or {})
        headers = {name: value for name, value in headers.items() if value is not None}
        everything = JWSRegistry(algorithms=list(JWSRegistry.algorithms), strict_check_header=False)
        return jwt.encode(headers, self.claims(**changes), key, registry=everything)

    async def show(self, _request: Request) -> Response:
        """The public keys."""
        self.asked += 1
        self.asking.set()
        await self.goes_on.wait()
        return self.answer or JSONResponse({"keys": [key.as_dict(private=False) for key in self.keys]})


@asynccontextmanager
async def running_identity(clock: Clock) -> AsyncIterator[Identity]:
    """One with a key for RS256."""
    identity = Identity(clock)
    identity.add()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        identity.url = f"http://127.0.0.1:{listener.getsockname()[1]}/jwks"
        async with served(Starlette(routes=[Route("/jwks", identity.show)]), listener):
            yield identity
