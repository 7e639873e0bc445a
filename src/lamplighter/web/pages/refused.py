"""What people see in place of a page: one sentence that says what to do, with the status that the API would give."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from lamplighter.core.errors import LamplighterError
from lamplighter.web import answers
from lamplighter.web.auth import Unauthorized
from lamplighter.web.errors import PLAIN, kind_of
from lamplighter.web.pages.rendering import render

TITLES = {
    400: "That cannot be",
    401: "Nobody is signed in",
    403: "Not for you",
    404: "Not here",
    405: "Not in that way",
    409: "Not as things are",
    429: "Not now",
    503: "Not now",
}
_log = logging.getLogger("lamplighter.web")


def _login_url(request: Request) -> str | None:
    if request.app.state.has_door:
        return f"{request.scope.get('root_path', '')}/login"
    found: str | None = request.app.state.login_url
    return found


def _page(request: Request, status: int, message: str) -> Response:
    title = TITLES.get(status, "Something went wrong")
    return render(request, "refusal.html", status=status, title=title, message=message)


async def _unknown(request: Request, error: Unauthorized) -> Response:
    """A part of a page that is asked for by script has the whole page loaded anew, which then comes here."""
    if "HX-Request" in request.headers:
        return Response(status_code=401, headers={"HX-Refresh": "true"})
    login_url = _login_url(request)
    if login_url is not None and request.method == "GET":
        return answers.see_other(login_url)
    return _page(request, 401, str(error))


async def _foreseen(request: Request, error: LamplighterError) -> Response:
    kind = kind_of(error)
    if kind.status >= 500:
        _log.warning("%s: %s", kind.code, error)
    return _page(request, kind.status, str(error))


async def _refused(request: Request, error: HTTPException) -> Response:
    _code, message = PLAIN.get(error.status_code, ("", "the request cannot be read: check it."))
    return _page(request, error.status_code, message)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    """Without what was sent, which may be a secret in the wrong place."""
    fields = ", ".join(sorted({str(one["loc"][1]) for one in error.errors()}))
    return _page(request, 400, f"the address has values that cannot be ({fields}): check them.")


async def _unforeseen(request: Request, _error: Exception) -> Response:
    return _page(request, 500, "something went wrong here: try again, and if it stays so look into the log.")


HANDLERS: dict[Any, Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    Unauthorized: _unknown,
    LamplighterError: _foreseen,
    HTTPException: _refused,
    RequestValidationError: _invalid,
    Exception: _unforeseen,
}
