"""One provider as it stands: its endpoints over HTTP, the outage it is in, and what it was asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from urllib.parse import parse_qsl

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from lamplighter.demo import drive
from lamplighter.demo.authorization import Answer, AuthorizationServer
from lamplighter.demo.catalog import DemoProvider
from lamplighter.demo.consent import REFUSE, consent_page
from lamplighter.demo.families import Families
from lamplighter.demo.faults import Fault, Name, Outage
from lamplighter.demo.grants import TokenGrant
from lamplighter.demo.requests import Requests

LARGEST_BODY = 16 * 1024  # bytes


class Site:
    """One provider of a running world."""

    def __init__(self, provider: DemoProvider) -> None:
        self._slug = provider.slug
        self._name = provider.display_name
        self._families = Families()
        self._server = AuthorizationServer(provider, self._families)
        self._outcomes: Counter[str] = Counter()
        self._outage = Outage(provider=provider.slug, seconds=0)
        self._outage_ends = 0.0
        self._turned_away = 0

    def routes(self) -> Mount:
        """Everything under `/{provider}`."""
        return Mount(
            f"/{self._slug}",
            routes=[
                Route("/token", self._token, methods=["POST"]),
                Route("/drive/about", self._about, methods=["GET"]),
                Route("/drive/files", self._files, methods=["GET"]),
                Route("/authorize", self._authorize, methods=["GET"]),
                Route("/revoke", self._revoke, methods=["POST"]),
            ],
        )

    def suffer(self, fault: Fault) -> None:
        """Let the fault happen now."""
        if isinstance(fault, Outage):
            self._outage, self._outage_ends = fault, time.monotonic() + fault.seconds
        else:
            self._families.revoke(fault.user)

    def grant(self, users: Iterable[str]) -> list[TokenGrant]:
        """What each user's consent comes to, without the way there: for worlds with thousands of users."""
        return [self._server.grant(user) for user in users]

    def requests(self) -> Requests:
        """What was asked of this provider since the start."""
        return Requests(
            token_requests=self._outcomes.total(),
            outcomes=dict(self._outcomes),
            refreshes=self._families.refreshes(),
            refused=self._families.refused(),
            turned_away=self._turned_away,
            reuses=self._families.reuses,
        )

    async def _authorize(self, request: Request) -> Response:
        parameters = _once(request.query_params.multi_items())
        if _is_browser(request) and parameters.keys().isdisjoint({"login_hint", REFUSE}):
            return HTMLResponse(consent_page(self._name, parameters))
        user = msgspec.convert(parameters["login_hint"], Name) if "login_hint" in parameters else None
        return _response(self._server.authorize(parameters, user))

    async def _token(self, request: Request) -> Response:
        if closed := self._closed():
            self._outcomes["outage"] += 1
            return closed
        answer = self._server.token(await _form(request), request.headers)
        self._outcomes[answer.outcome] += 1
        return _response(answer)

    async def _revoke(self, request: Request) -> Response:
        return _response(self._server.revoke(await _form(request), request.headers))

    async def _about(self, request: Request) -> Response:
        return self._drive(request, drive.about)

    async def _files(self, request: Request) -> Response:
        return self._drive(request, drive.files)

    def _drive(self, request: Request, read: drive.Read) -> Response:
        if closed := self._closed():
            return closed
        user = self._server.admit(request.headers)
        return _response(user) if isinstance(user, Answer) else json_response(read(user))

    def _closed(self) -> Response | None:
        if time.monotonic() >= self._outage_ends:
            return None
        self._turned_away += 1
        after = self._outage.retry_after
        return Response(status_code=self._outage.status, headers={} if after is None else {"Retry-After": str(after)})


def json_response(body: object) -> Response:
    """A body as JSON."""
    return Response(msgspec.json.encode(body), media_type="application/json")


def _response(answer: Answer) -> Response:
    body = msgspec.json.encode(answer.body) if answer.body != "" else b""
    return Response(body, answer.status, dict(answer.headers))


def _is_browser(request: Request) -> bool:
    """Programs get on without a page: they say who consents, or that nobody does."""
    return "text/html" in request.headers.get("Accept", "")


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises:
        HTTPException: 413, it is larger than anything this world is asked.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, f"Send at most {LARGEST_BODY} bytes.")
    return body


async def _form(request: Request) -> dict[str, str]:
    return _once(parse_qsl((await read_body(request)).decode(), max_num_fields=20))


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name; RFC 6749 (section 3.2) forbids to repeat one."""
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise HTTPException(400, "Send each parameter once.")
    return parameters
