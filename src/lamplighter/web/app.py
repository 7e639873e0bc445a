"""Puts the API together: its routes, who may call them, and what errors look like.

    web.mount("/lamplighter", http_api(app, identify=identify))

The host opens the app in its lifespan, and says who calls.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware

from lamplighter.app import App
from lamplighter.core.errors import ConfigError
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.safe_url import is_safe
from lamplighter.web import errors
from lamplighter.web.api import (
    access_tokens,
    audit,
    callback,
    connections,
    health,
    integrations,
    jobs,
    notifications,
    queues,
)
from lamplighter.web.auth import admit, pass_by
from lamplighter.web.bounds import Bounds
from lamplighter.web.cross_site import SameOrigin
from lamplighter.web.given import Given, Identify, Integrating

NOUNS = (jobs, queues)
WITH_INTEGRATIONS = (access_tokens, audit, connections, health, integrations, notifications)


def http_api(
    app: App[Any],
    *,
    identify: Identify,
    tokens: TokenFamily | None = None,
    public_url: str | None = None,
    prefix: str = "/api/v1",
    trusted_origins: Collection[str] = (),
) -> FastAPI:
    """The API of a Lamplighter app, as an ASGI app.

    Args:
        identify: who sent a request, by whatever the host trusts: a session, a token. None is answered 401.
        tokens: the app's token family; without it there is nothing about integrations.
        public_url: where browsers find this API: providers send them back to `<public_url><prefix>/oauth/callback`,
            which is to be registered there. To be given with `tokens`.
        prefix: of all paths.
        trusted_origins: `https://app.example.com`, whose pages may change things here. Those of others may not, or
            they could with the cookies of whoever looks at them.

    Raises:
        ConfigError: public_url or prefix cannot be used.
    """
    _check_prefix(prefix)
    api = FastAPI(
        openapi_url=None,
        redirect_slashes=False,  # or a wrong path would be answered before anybody asks who calls
        middleware=[Middleware(SameOrigin, trusted_origins), Middleware(Bounds)],
        exception_handlers=errors.HANDLERS,
        telemetry={"tracing": False},  # a trace would hold the callback's query, and with it a code
    )
    integrating = None if tokens is None else Integrating(tokens, f"{_checked(public_url)}{prefix}{callback.PATH}")
    api.state.given = Given(app, identify, integrating)
    for noun in NOUNS if integrating is None else (*NOUNS, *WITH_INTEGRATIONS):
        api.include_router(noun.router, prefix=prefix, dependencies=[Depends(admit)])
    if integrating is not None:
        api.include_router(callback.router, prefix=prefix, dependencies=[Depends(pass_by)])
    return api


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
