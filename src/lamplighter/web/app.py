"""Puts the API together: its routes, who may call them, and what errors look like.

    web.mount("/cloud", integrations_api(tokens, identify=identify, public_url="https://shop.example/cloud"))

The host opens the app of `tokens` in its lifespan, and says who calls.
"""

from __future__ import annotations

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware

from lamplighter.core.errors import ConfigError
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.safe_url import is_safe
from lamplighter.web import errors
from lamplighter.web.api import access_tokens, audit, callback, connections, health, integrations, notifications
from lamplighter.web.auth import admit, pass_by
from lamplighter.web.bounds import Bounds
from lamplighter.web.given import Given, Identify

NOUNS = (access_tokens, audit, connections, health, integrations, notifications)


def integrations_api(tokens: TokenFamily, *, identify: Identify, public_url: str, prefix: str = "/api/v1") -> FastAPI:
    """The API as an ASGI app.

    Args:
        identify: who sent a request, by whatever the host trusts: a session, a token. None is answered 401. Where it
            goes by a cookie, that has to be SameSite, for the API asks for no other proof of where a request is from.
        public_url: where browsers find this app: providers send them back to `<public_url><prefix>/oauth/callback`,
            which is to be registered there.
        prefix: of all paths.

    Raises:
        ConfigError: public_url or prefix cannot be used.
    """
    _check(public_url, prefix)
    app = FastAPI(
        openapi_url=None,
        redirect_slashes=False,  # or a wrong path would be answered before anybody asks who calls
        middleware=[Middleware(Bounds)],
        exception_handlers=errors.HANDLERS,
        telemetry={"tracing": False},  # a trace would hold the callback's query, and with it a code
    )
    app.state.given = Given(tokens, identify, f"{public_url.rstrip('/')}{prefix}{callback.PATH}")
    for noun in NOUNS:
        app.include_router(noun.router, prefix=prefix, dependencies=[Depends(admit)])
    app.include_router(callback.router, prefix=prefix, dependencies=[Depends(pass_by)])
    return app


def _check(public_url: str, prefix: str) -> None:
    if not is_safe(public_url) or "?" in public_url:
        raise ConfigError(
            "public_url must be an https:// URL without user name, password, query or fragment (http:// is for "
            "loopback only): give the one at which browsers find this API."
        )
    if prefix and not (prefix.startswith("/") and prefix.strip("/") and not prefix.endswith("/")):
        raise ConfigError("prefix must begin with a slash and end without one, such as /api/v1: change it.")
