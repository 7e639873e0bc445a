"""No page of another site changes anything here with the cookies of whoever looks at it.

Browsers say where a request is from: in Sec-Fetch-Site, or those from before 2023 in Origin. Whatever says neither is
no browser, and has no cookies that somebody else could use. (The way of Go's net/http.CrossOriginProtection.)
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lamplighter.web import answers

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OURS = frozenset({"same-origin", "none"})  # none: somebody typed the address, or followed a bookmark


class SameOrigin:
    """Refuses what changes something and comes from a page of another origin, unless that is trusted."""

    def __init__(self, app: ASGIApp, trusted_origins: Collection[str] = ()) -> None:
        self._app = app
        self._trusted = frozenset(trusted_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask before anything is read."""
        if scope["type"] != "http" or scope["method"] in SAFE or self._is_ours(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        refusal = answers.error(403, "auth/cross-site", "this comes from a page of another site: use our own.")
        await refusal(scope, receive, send)

    def _is_ours(self, headers: Headers) -> bool:
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
        if origin is not None and origin in self._trusted:
            return True
        if site is not None:
            return site in OURS
        return origin is None or urlsplit(origin).netloc == headers.get("Host")
