"""All that `lamplighter web` serves, as one ASGI app: the API, and the pages for people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from lamplighter.app import App
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.families.alerting.alerting import Alerting
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.http_pool import HttpPool
from lamplighter.integrations.safe_url import is_loopback, is_safe
from lamplighter.web.app import callback_url, http_api
from lamplighter.web.dashboard import dashboard
from lamplighter.web.signin.allowance import Allowance
from lamplighter.web.signin.door import Door
from lamplighter.web.signin.identify import TenantsOf, identify_by, paced
from lamplighter.web.signin.jwks import Jwks
from lamplighter.web.signin.jwt import Jwt, issuer_of
from lamplighter.web.signin.keys import Keys
from lamplighter.web.signin.oidc.client import client_of, people_of
from lamplighter.web.signin.oidc.oidc import Oidc
from lamplighter.web.signin.oidc.routes import CALLBACK
from lamplighter.web.signin.once import Once
from lamplighter.web.signin.password import AdminPassword
from lamplighter.web.signin.sessions import Sessions

PAGES = "/admin/queues"


class Site(NamedTuple):
    """What is served, and where; and a link by which somebody can sign in once, if browsers can find it."""

    asgi: ASGIApp
    host: str
    port: int
    login_link: Secret | None


@asynccontextmanager
async def open_site(app: App[Any], *, host: str, port: int) -> AsyncIterator[Site]:
    """The site of an open app that listens there. What is not said here is as the app's settings say.

    Raises:
        ConfigError: anybody could come in, or nobody; or a setting cannot be used.
    """
    url = _url(app.settings.web_url, host, port)
    store, clock = app.store, app.clock
    keys, password, once = Keys(store, clock=clock), AdminPassword(store, clock=clock), Once(clock=clock)
    sessions = Sessions(store, clock=clock, secure=url is None or not url.startswith("http://"))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(HttpPool())
        jwt, oidc = _jwt(app, http), _oidc(app, http, url)
        by_password = password if app.settings.web_password == "on" else None  # noqa: S105
        is_for_others = not is_loopback(host) and jwt is None and oidc is None
        if is_for_others and not (await keys.has_live() or (by_password and await by_password.is_set())):
            raise ConfigError(
                f"nobody could sign in from outside, so {host} is not listened on: `lamplighter keys create`, "
                "`lamplighter admin set-password` or set jwt_issuer or oidc_issuer first."
            )
        identify = paced(
            identify_by(keys, jwt=jwt, sessions=sessions, tenants_of=_tenants_of(app)),
            callers=Allowance(app.settings.web_rate, app.settings.web_rate),
            strangers=Allowance(10, 60),
        )
        trusted = () if url is None else ("{0.scheme}://{0.netloc}".format(urlsplit(url)),)
        tokens, door = _tokens(app, url), Door(sessions, by_password, once, oidc)
        alerting = app.part(Alerting) or Alerting(app, tokens)  # no worker may live, and that is to be told too
        await stack.enter_async_context(alerting.running())
        api = http_api(app, identify=identify, tokens=tokens, public_url=url, trusted_origins=trusted)
        pages = dashboard(
            app,
            identify=identify,
            tokens=tokens,
            callback_url=None if tokens is None else callback_url(url),
            door=door,
            trusted_origins=trusted,
        )
        link = None if url is None else Secret(f"{url}{PAGES}/login?once={once.make().reveal()}")
        yield Site(
            Starlette(routes=[*map(_to_pages, ("/", PAGES)), Mount(PAGES, pages), Mount("", api)]), host, port, link
        )


def _to_pages(path: str) -> Route:
    """Whoever types the address of the server means the dashboard."""

    async def redirect(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{PAGES}/", 303)

    return Route(path, redirect)


def _tokens(app: App[Any], url: str | None) -> TokenFamily | None:
    """Whether there is something about integrations."""
    tokens = app.part(TokenFamily)
    if tokens is not None and url is None:
        raise ConfigError("providers send browsers back to us: set web_url to where browsers find this server.")
    return tokens


def _tenants_of(app: App[Any]) -> TenantsOf | None:
    """By who owns them, if that is to count."""
    if app.settings.web_owners == "off":
        return None
    tokens, issuers = app.part(TokenFamily), {app.settings.jwt_issuer, app.settings.oidc_issuer} - {None}
    if tokens is None or len(issuers) != 1:  # of two issuers, each could name its people as the other's
        raise ConfigError(
            "web_owners goes by the tenants of a token family and the subjects of one issuer: give the app a token "
            "family, and jwt_issuer or oidc_issuer, and if both then the same."
        )

    async def tenants_of(subject: str) -> Collection[str]:
        return await tokens.service.tenants.of_owner(subject)

    return tenants_of


def _url(told: str | None, host: str, port: int) -> str | None:
    """Where browsers find this; None: who knows."""
    if told is None:
        return f"http://{f'[{host}]' if ':' in host else host}:{port}" if is_loopback(host) else None
    if not is_safe(told) or "?" in told:
        raise ConfigError(
            "web_url must be an https:// URL without user name, password, query or fragment (http:// is for loopback "
            "only): give the one at which browsers find this server."
        )
    return told.rstrip("/")


def _jwt(app: App[Any], http: HttpPool) -> Jwt | None:
    if (issuer := issuer_of(app.settings)) is None:
        return None
    return Jwt(issuer, Jwks(http, issuer.jwks_url, clock=app.clock), clock=app.clock)


def _oidc(app: App[Any], http: HttpPool, url: str | None) -> Oidc | None:
    at = f"{url}{PAGES}"
    client = client_of(app.settings, redirect_uri=f"{at}{CALLBACK}", signed_out_uri=f"{at}/login")
    if client is not None and url is None:
        raise ConfigError("the OpenID provider sends browsers back: set web_url to where they find this server.")
    if client is not None and not is_safe(client.issuer):
        raise ConfigError("oidc_issuer must be an https:// URL without user name, password or fragment: correct it.")
    return None if client is None else Oidc(client, people_of(app.settings), http, clock=app.clock)
