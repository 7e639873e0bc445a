"""`logout`: out, and back to the ways in; by way of the provider for whoever came in by that."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from lamplighter.web.auth import note_session
from lamplighter.web.pages.rendering import render
from lamplighter.web.signin.door import Door, above
from lamplighter.web.signin.oidc.sign_out import SignOutCookie

LOGOUT = "/logout"
AT_THE_PROVIDER = f"{LOGOUT}/oidc"


def logout_router(door: Door) -> APIRouter:
    """To be included where `login_router` is."""
    router = APIRouter(include_in_schema=False)
    cookie = SignOutCookie(secure=door.sessions.secure)

    @router.post(LOGOUT)
    async def log_out(request: Request) -> Response:
        """Out of here. A page leads on to another site, for our policy lets no form be redirected there."""
        at, response = above(request, LOGOUT), None
        if door.oidc is not None and cookie.is_in(request):
            url = f"{at}{AT_THE_PROVIDER}"
            response = render(request, "leaving.html", url=url, where=door.oidc.name, about=None)
        response = response or RedirectResponse(f"{at}/login", 303)
        if (caller := await door.sessions.caller(request)) is not None:
            await note_session(request, "end", caller.user_id)
        await door.sessions.end(request, response)
        return response

    @router.get(AT_THE_PROVIDER)
    async def log_out_there(request: Request) -> Response:
        """Out of the provider too. A link from elsewhere signs nobody out: the cookie does not come along with that."""
        at, url = above(request, AT_THE_PROVIDER), None
        if door.oidc is not None and cookie.is_in(request):
            url = await door.oidc.sign_out_url(cookie.id_token(request))
        response = RedirectResponse(url or f"{at}/login", 303)
        cookie.drop(response, f"{at}{LOGOUT}")
        return response

    return router
