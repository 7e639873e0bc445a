"""The demo world as one ASGI app: every provider's site, the script of faults, and the operator's endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from lamplighter.demo.catalog import DemoProvider
from lamplighter.demo.faults import Cue, Fault, Outage, Revocation
from lamplighter.demo.grants import Consents
from lamplighter.demo.site import Site, json_response, read_body


class Operator:
    """Causes faults on demand, and tells what the providers were asked."""

    def __init__(self, sites: dict[str, Site]) -> None:
        self._sites = sites

    def routes(self) -> Mount:
        """Everything under `/_world`."""
        return Mount(
            "/_world",
            routes=[
                Route("/outage", self._outage, methods=["POST"]),
                Route("/revoke", self._revoke, methods=["POST"]),
                Route("/consent", self._consent, methods=["POST"]),
                Route("/requests", self._requests, methods=["GET"]),
            ],
        )

    def cause(self, fault: Fault) -> None:
        """Let the fault happen now.

        Raises:
            HTTPException: 404, there is no such provider.
        """
        self._site(fault.provider).suffer(fault)

    async def _outage(self, request: Request) -> Response:
        self.cause(msgspec.json.decode(await read_body(request), type=Outage))
        return Response(status_code=204)

    async def _revoke(self, request: Request) -> Response:
        self.cause(msgspec.json.decode(await read_body(request), type=Revocation))
        return Response(status_code=204)

    async def _consent(self, request: Request) -> Response:
        consents = msgspec.json.decode(await read_body(request), type=Consents)
        return json_response(self._site(consents.provider).grant(consents.users))

    def _site(self, provider: str) -> Site:
        if provider not in self._sites:
            raise HTTPException(404, f"There is no provider {provider!r}: take one of {', '.join(self._sites)}.")
        return self._sites[provider]

    async def _requests(self, _request: Request) -> Response:
        return json_response({slug: site.requests() for slug, site in self._sites.items()})


def world_app(providers: Iterable[DemoProvider], script: Sequence[Cue]) -> Starlette:
    """The world of these providers, in which the script begins when the app starts."""
    sites = {provider.slug: Site(provider) for provider in providers}
    operator = Operator(sites)

    @asynccontextmanager
    async def play(_app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        for cue in script:
            loop.call_later(cue.at, operator.cause, cue.fault)
        yield

    return Starlette(
        routes=[*(site.routes() for site in sites.values()), operator.routes()],
        lifespan=play,
        exception_handlers={ValueError: _malformed},
    )


async def _malformed(_request: Request, _error: Exception) -> Response:
    """A value that cannot be read (bad JSON, bad UTF-8, a name out of bounds) is the caller's fault, not a crash."""
    return PlainTextResponse("The request holds a value that cannot be read: send what the endpoint asks for.", 400)
