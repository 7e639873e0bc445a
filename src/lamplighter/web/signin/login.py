"""`login` and `logout`, for the pages beside them: a form for the admin's password, and links that are good once.

Whoever has signed in goes to the page above; no address says where to, so none can say somewhere else.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from lamplighter.core.secret import Secret
from lamplighter.web.forms import read_form
from lamplighter.web.pages.rendering import render
from lamplighter.web.roles import Caller, Role
from lamplighter.web.signin.allowance import Allowance, TooMany, address_of
from lamplighter.web.signin.once import Once
from lamplighter.web.signin.password import AdminPassword
from lamplighter.web.signin.sessions import Sessions

ADMIN = Caller(user_id="admin", role=Role.SUPERADMIN)
WRONG = "That is not the password."
SPENT = "This link was used already, or is too old: sign in by password, or start the server again for a new link."
TOO_OFTEN = "Too many tries: wait a minute."


class Door(NamedTuple):
    """How people come in."""

    sessions: Sessions
    password: AdminPassword
    once: Once


class Tries:
    """How often a password may be tried: five times at once and twelve a minute from one address, sixty from all."""

    def __init__(self) -> None:
        self._of_each = Allowance(12 / 60, 5)
        self._of_all = Allowance(1, 20)

    def take(self, request: Request) -> None:
        """Raises TooMany."""
        self._of_each.take(address_of(request))  # first: one that tries too often shuts nobody else out
        self._of_all.take("all")


def login_router(door: Door) -> APIRouter:
    """To be included beside pages that answer whoever is not signed in with a redirect to `login`."""
    router = APIRouter(include_in_schema=False)
    tries = Tries()

    async def come_in(request: Request) -> Response:
        response = RedirectResponse(f"{_above(request)}/", 303)
        await door.sessions.begin(request, response, ADMIN)
        return response

    @router.get("/login")
    async def show(request: Request) -> Response:
        """The form; or, by a link that is good once, straight in."""
        if "once" not in request.query_params:
            return _page(request, 200)
        return await come_in(request) if door.once.take(request.query_params["once"]) else _page(request, 403, SPENT)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        """With the password, in."""
        try:
            tries.take(request)
        except TooMany as error:
            return _page(request, 429, TOO_OFTEN, {"Retry-After": str(math.ceil(error.retry_in.total_seconds()))})
        form = await read_form(request)
        is_right = await door.password.is_right(Secret(form.get("password", "")))
        return await come_in(request) if is_right else _page(request, 403, WRONG)

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        """Out, and back to the form."""
        response = RedirectResponse(f"{_above(request)}/login", 303)
        await door.sessions.end(request, response)
        return response

    return router


def _above(request: Request) -> str:
    """Where the router is included, wherever that is mounted."""
    return request.url.path.rpartition("/")[0]


def _page(request: Request, status: int, told: str | None = None, headers: dict[str, str] | None = None) -> Response:
    return render(request, "login.html", status=status, headers=headers, told=told)
