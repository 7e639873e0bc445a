"""Puts the dashboard together: its pages, who may see them, and what errors look like.

    web.mount("/admin/queues", dashboard(app, identify=identify))

Any prefix will do. Pages are made here from what the store and the services tell; they work without JavaScript, which
only keeps them fresh and draws the charts.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from lamplighter.app import App
from lamplighter.core.errors import ConfigError
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.safe_url import is_safe
from lamplighter.web.actions import Actions
from lamplighter.web.auth import admit_staff
from lamplighter.web.bounds import Bounds
from lamplighter.web.cross_site import SameOrigin
from lamplighter.web.given import Given, Identify, Integrating
from lamplighter.web.page_headers import PageHeaders
from lamplighter.web.pages import (
    alerts,
    analytics,
    audit,
    audit_keeping,
    connecting,
    crons,
    edit,
    failures,
    file_sources,
    files,
    history,
    integrations,
    jobs,
    limits,
    notifications,
    overview,
    queues,
    tenants,
    upkeep,
    workers,
)
from lamplighter.web.pages import refused as refused_pages
from lamplighter.web.signin.door import Door
from lamplighter.web.signin.login import login_router
from lamplighter.web.telemetry import UNTOLD

NOUNS = (overview, alerts, history, queues, jobs, edit, failures, crons, workers, limits, tenants)
WITH_INTEGRATIONS = (
    connecting,
    integrations,
    file_sources,
    files,
    notifications,
    analytics,
    audit,
    audit_keeping,
    upkeep,
)
STATIC = Path(__file__).parent / "static"


class _Static(StaticFiles):
    """Kept by browsers for an hour: an upgrade is seen soon, and no page waits for its scripts."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"})
        return response


def dashboard(
    app: App[Any],
    *,
    identify: Identify,
    tokens: TokenFamily | None = None,
    callback_url: str | None = None,
    login_url: str | None = None,
    door: Door | None = None,
    trusted_origins: Collection[str] = (),
) -> FastAPI:
    """The dashboard of a Lamplighter app, as an ASGI app. The host opens the app, and says who calls.

    Args:
        identify: who sent a request; None: nobody is known. The role of a tenant is refused.
        tokens: the app's token family; without it there are no pages about integrations.
        callback_url: where browsers find the callback of this app's API (`callback_url` of `lamplighter.web` makes it),
            which is to be at the same host as this dashboard; without it nothing is connected here. Needs `tokens`.
        login_url: where to send who is not known; without it there is a page that says so.
        door: how people sign in here, where no host does that.
        trusted_origins: `https://admin.example.com`, where browsers find it, if it is behind a proxy that changes the
            name of the host.

    Raises:
        ConfigError: callback_url cannot be used.
    """
    if callback_url is not None and not is_safe(callback_url):
        raise ConfigError("callback_url must be the https:// URL of the API's callback (http:// is for loopback only).")
    pages = FastAPI(
        openapi_url=None,
        redirect_slashes=False,  # or a wrong path would be answered before anybody asks who calls
        middleware=[Middleware(PageHeaders), Middleware(SameOrigin, trusted_origins), Middleware(Bounds)],
        exception_handlers=refused_pages.HANDLERS,
        telemetry=UNTOLD,
    )
    integrating = None if tokens is None else Integrating(tokens, callback_url or "")
    pages.state.given = Given(app, identify, integrating, frozenset(), Actions(app))
    pages.state.login_url = login_url
    pages.state.has_door = door is not None
    for noun in NOUNS if tokens is None else (*NOUNS, *WITH_INTEGRATIONS):
        pages.include_router(noun.router, dependencies=[Depends(admit_staff, scope="function")])
    if door is not None:
        pages.include_router(login_router(door))
    pages.mount("/static", _Static(directory=STATIC))
    return pages
