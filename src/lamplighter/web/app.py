"""Puts the API together: its routes, who may call them, and what errors look like.

    web.mount("/lamplighter", http_api(app, identify=identify))

The host opens the app in its lifespan, and says who calls.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, params
from starlette.middleware import Middleware

from lamplighter.app import App
from lamplighter.core.errors import ConfigError
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.safe_url import is_safe
from lamplighter.web import errors
from lamplighter.web.actions import Actions
from lamplighter.web.api import (
    access_tokens,
    alerts,
    analytics,
    audit,
    audit_archives,
    audit_keeping,
    bulk,
    callback,
    connections,
    crons,
    enqueue,
    events,
    file_sources,
    files,
    health,
    history,
    integrations,
    job_actions,
    job_logs,
    jobs,
    limits,
    metrics,
    notifications,
    openapi,
    preferences,
    probes,
    providers,
    queues,
    results,
    shares,
    templates,
    tenants,
    upkeep,
    workers,
)
from lamplighter.web.auth import ADMIT, pass_by
from lamplighter.web.bounds import LARGEST_BATCH, Bounds
from lamplighter.web.cross_site import SameOrigin
from lamplighter.web.describing.describe import ABOUT, describe, routes_of
from lamplighter.web.given import Given, Identify, Integrating
from lamplighter.web.telemetry import UNTOLD
from lamplighter.web.watch import Watches

NOUNS = (
    alerts,
    bulk,
    crons,
    enqueue,
    events,
    history,
    job_actions,
    job_logs,
    jobs,
    limits,
    queues,
    results,
    shares,
    tenants,
    workers,
)
WITH_INTEGRATIONS = (
    access_tokens,
    analytics,
    audit,
    audit_archives,
    audit_keeping,
    connections,
    file_sources,
    files,
    health,
    integrations,
    notifications,
    preferences,
    providers,
    templates,
    upkeep,
)


def http_api(
    app: App[Any],
    *,
    identify: Identify,
    tokens: TokenFamily | None = None,
    public_url: str | None = None,
    for_tenants: Collection[str] = (),
    prefix: str = "/api/v1",
    trusted_origins: Collection[str] = (),
) -> FastAPI:
    """The API of a Lamplighter app, as an ASGI app.

    Args:
        identify: who sent a request, by whatever the host trusts: a session, a token. None is answered 401.
        tokens: the app's token family; without it there is nothing about integrations.
        public_url: where browsers find this API: providers send them back to `<public_url><prefix>/oauth/callback`,
            which is to be registered there. To be given with `tokens`.
        for_tenants: the names of the jobs that tenants may enqueue, for themselves; by default none.
        prefix: of all paths.
        trusted_origins: `https://app.example.com`, whose pages may change things here. Those of others may not, or
            they could with the cookies of whoever looks at them.

    Raises:
        ConfigError: public_url or prefix cannot be used.
        UnknownJob: the app has no job of a name in `for_tenants`.
    """
    _check_prefix(prefix)
    allowed = frozenset(app.job_named(name).name for name in for_tenants)
    api = _Api(
        title="Lamplighter",
        version=version("lamplighter"),
        description=ABOUT,
        openapi_url=None,  # it has a route of its own
        redirect_slashes=False,  # or a wrong path would be answered before anybody asks who calls
        middleware=[
            Middleware(SameOrigin, trusted_origins),
            Middleware(Bounds, larger={f"{prefix}/jobs/batch": LARGEST_BATCH}),
        ],
        exception_handlers=errors.HANDLERS,
        telemetry=UNTOLD,
    )
    integrating = None if tokens is None else Integrating(tokens, callback_url(public_url, prefix))
    api.state.watches = Watches()
    api.state.given = Given(app, identify, integrating, allowed, Actions(app))
    for noun in NOUNS if integrating is None else (*NOUNS, *WITH_INTEGRATIONS):
        api.include(noun.router, prefix, ADMIT)
    if integrating is not None:
        api.include(callback.router, prefix, Depends(pass_by))
    api.include(openapi.router, prefix)
    api.include(metrics.router, "", ADMIT)
    api.include(probes.router)  # where whoever runs processes looks for them
    return api


def callback_url(public_url: str | None, prefix: str = "/api/v1") -> str:
    """Where providers send browsers back to, of an API with this `public_url` and `prefix`.

    Raises:
        ConfigError: public_url cannot be used.
    """
    return f"{_checked(public_url)}{prefix}{callback.PATH}"


class _Api(FastAPI):
    """Describes itself by what its routes say."""

    def include(self, router: APIRouter, prefix: str = "", *dependencies: params.Depends) -> None:
        """Add the routes of a noun."""
        self.include_router(router, prefix=prefix, dependencies=dependencies)
        self.state.routes = [*getattr(self.state, "routes", ()), *routes_of(router, prefix)]

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = describe(super().openapi(), self.state.routes)
        return self.openapi_schema


def _checked(public_url: str | None) -> str:
    if public_url is None or not is_safe(public_url) or "?" in public_url:
        raise ConfigError(
            "public_url must be an https:// URL without user name, password, query or fragment (http:// is for "
            "loopback only): give the one at which browsers find this API."
        )
    return public_url.rstrip("/")


def _check_prefix(prefix: str) -> None:
    if prefix and not (prefix.startswith("/") and prefix.strip("/") and not prefix.endswith("/")):
        raise ConfigError("prefix must begin with a slash and end without one, such as /api/v1: change it.")
