"""`login/oidc`: to the provider and back."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from lamplighter.web.auth import note_session
from lamplighter.web.signin.allowance import TooMany
from lamplighter.web.signin.door import Door, Tries, above, not_in
from lamplighter.web.signin.oidc.attempt import AttemptCookie
from lamplighter.web.signin.oidc.errors import NotSignedIn
from lamplighter.web.signin.oidc.oidc import Oidc
from lamplighter.web.signin.oidc.sign_out import SignOutCookie

BEGIN = "/login/oidc"
CALLBACK = f"{BEGIN}/callback"


def oidc_router(door: Door, oidc: Oidc) -> APIRouter:
    """To be included where `login_router` is."""
    router = APIRouter(include_in_schema=False)
    begins, ends = Tries(), Tries()
    attempts, sign_outs = AttemptCookie(secure=door.sessions.secure), SignOutCookie(secure=door.sessions.secure)

    @router.get(BEGIN)
    async def begin(request: Request) -> Response:
        """To the provider."""
        try:
            begins.take(request)
            begun = await oidc.begin()
        except (TooMany, NotSignedIn) as error:
            return not_in(request, door, error)
        response = RedirectResponse(begun.url, 303)
        attempts.put(response, begun.attempt)
        return response

    @router.get(CALLBACK)
    async def finish(request: Request) -> Response:
        """Back from it, with its answer; then in, or why not."""
        try:
            ends.take(request)
            signed_in = await oidc.finish(request.query_params, attempts.read(request))
        except (TooMany, NotSignedIn) as error:
            response = not_in(request, door, error)
        else:
            response = RedirectResponse(f"{above(request, CALLBACK)}/", 303)
            await door.sessions.begin(request, response, signed_in.caller)
            await note_session(request, "begin", signed_in.caller.user_id)
            sign_outs.put(response, f"{above(request, CALLBACK)}/logout", signed_in.id_token)
        attempts.drop(response)
        return response

    return router
