"""Whom the provider is to sign out: its ID token, in a cookie of the browser that it was given for; nowhere else."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from lamplighter.core.secret import Secret
from lamplighter.web.signin.sessions import LIFE

LONGEST = 3500  # characters: a browser keeps no cookie of more than 4,096
UNKNOWN = "none"  # it was too long, and the provider has to ask who it is


class SignOutCookie:
    """Sent to the paths where people sign out, and from our own pages only."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self.name = "__Secure-lamplighter-sign-out" if secure else "lamplighter-sign-out"

    def put(self, response: Response, path: str, id_token: Secret) -> None:
        """Have the browser keep it as long as its session."""
        text = id_token.reveal()
        self._set(response, path, text if len(text) <= LONGEST else UNKNOWN, int(LIFE.total_seconds()))

    def is_in(self, request: Request) -> bool:
        """Whether somebody signed in by the provider."""
        return self.name in request.cookies

    def id_token(self, request: Request) -> str | None:
        """What the provider said of them."""
        text = request.cookies.get(self.name, UNKNOWN)
        return None if text == UNKNOWN or len(text) > LONGEST else text

    def drop(self, response: Response, path: str) -> None:
        """Have the browser forget it."""
        self._set(response, path, "", 0)

    def _set(self, response: Response, path: str, value: str, life: int) -> None:
        response.set_cookie(
            self.name, value, life, httponly=True, samesite="strict", secure=self._secure, path=path
        )  # strict: or a link from elsewhere could sign people out
