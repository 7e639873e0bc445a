"""How people come in: what there is for that, how often it may be tried, and the page that offers it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from lamplighter.web.pages.rendering import render
from lamplighter.web.signin.allowance import Allowance, TooMany, address_of
from lamplighter.web.signin.oidc.errors import NotSignedIn
from lamplighter.web.signin.oidc.oidc import Oidc
from lamplighter.web.signin.once import Once
from lamplighter.web.signin.password import AdminPassword
from lamplighter.web.signin.sessions import Sessions

TOO_OFTEN = "Too many tries: wait a minute."


class Door(NamedTuple):
    """By a link, by the admin's password (None: not here), and by an OpenID provider if there is one."""

    sessions: Sessions
    password: AdminPassword | None
    once: Once
    oidc: Oidc | None = None


class Tries:
    """How often something may be tried: five times at once and twelve a minute from one address, sixty from all."""

    def __init__(self) -> None:
        self._of_each = Allowance(12 / 60, 5)
        self._of_all = Allowance(1, 20)

    def take(self, request: Request) -> None:
        """Raises TooMany."""
        self._of_each.take(address_of(request))  # first: one that tries too often shuts nobody else out
        self._of_all.take("all")


def login_page(
    request: Request, door: Door, status: int, told: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The ways in, and why somebody is not in yet."""
    return render(
        request,
        "login.html",
        status=status,
        headers=headers,
        told=told,
        has_password=door.password is not None,
        provider=door.oidc and door.oidc.name,
    )


def not_in(request: Request, door: Door, error: TooMany | NotSignedIn) -> Response:
    """The ways in, and why this one did not lead there."""
    if isinstance(error, NotSignedIn):
        return login_page(request, door, error.status, str(error))
    seconds = str(math.ceil(error.retry_in.total_seconds()))
    return login_page(request, door, 429, TOO_OFTEN, {"Retry-After": seconds})


def above(request: Request, path: str) -> str:
    """Where the router with that path is included, wherever that is mounted."""
    return request.url.path.removesuffix(path)
