"""`login`, for the pages beside it: a form for the admin's password, and links that are good once.

Whoever has signed in goes to the page above; no address says where to, so none can say somewhere else.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from lamplighter.core.secret import Secret
from lamplighter.web.auth import note_session
from lamplighter.web.forms import read_form
from lamplighter.web.roles import Caller, Role
from lamplighter.web.signin.allowance import TooMany
from lamplighter.web.signin.door import Door, Tries, above, login_page, not_in
from lamplighter.web.signin.logout import logout_router
from lamplighter.web.signin.oidc.routes import oidc_router

ADMIN = Caller(user_id="admin", role=Role.SUPERADMIN)
WRONG = "That is not the password."
SHUT = "Nobody signs in by password here."
SPENT = "This link was used already, or is too old: sign in another way, or start the server again for a new link."


def login_router(door: Door) -> APIRouter:
    """To be included beside pages that answer whoever is not signed in with a redirect to `login`."""
    router = APIRouter(include_in_schema=False)
    tries = Tries()

    @router.get("/login")
    async def show(request: Request) -> Response:
        """The ways in; or, by a link that is good once, straight in."""
        if "once" not in request.query_params:
            return login_page(request, door, 200)
        is_good = door.once.take(request.query_params["once"])
        return await _come_in(request, door) if is_good else await _stay_out(request, door, SPENT)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        """With the password, in."""
        if door.password is None:
            return login_page(request, door, 403, SHUT)
        try:
            tries.take(request)
        except TooMany as error:
            return not_in(request, door, error)
        form = await read_form(request)
        is_right = await door.password.is_right(Secret(form.get("password", "")))
        return await _come_in(request, door) if is_right else await _stay_out(request, door, WRONG)

    router.include_router(logout_router(door))
    if door.oidc is not None:
        router.include_router(oidc_router(door, door.oidc))
    return router


async def _come_in(request: Request, door: Door) -> Response:
    response = RedirectResponse(f"{above(request, '/login')}/", 303)
    await door.sessions.begin(request, response, ADMIN)
    await note_session(request, "begin", ADMIN.user_id)
    return response


async def _stay_out(request: Request, door: Door, why: str) -> Response:
    await note_session(request, "begin", ADMIN.user_id, refused=why)
    return login_page(request, door, 403, why)
